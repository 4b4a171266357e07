"""An address that is no cluster's."""

from pathlib import Path
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]


def test_the_address_of_job_submission_is_an_error_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "jobs/full_pipeline.py", "--recipe", "smoke", "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [*command, "--ray.address", "http://127.0.0.1:8265"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 2
    said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].startswith("error: ray.address: http://127.0.0.1:8265 does not answer as a cluster: HOST:PORT of")
    assert "Traceback" not in ended.stderr + ended.stdout
