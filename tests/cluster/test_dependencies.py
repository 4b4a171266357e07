"""What the machines install is what raycalib declares, in the pinned versions."""

from pathlib import Path
import subprocess
import sys

from packaging.requirements import Requirement
import pytest

from cluster.dependencies import requirements
from tests.cluster.cluster_files import CLUSTER, RAYS, ROOT, commands

PINS = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
MORE = {
    line.split("==")[0].lower() for line in (CLUSTER / "gcp-constraints.txt").read_text().splitlines() if "==" in line
}


def test_they_are_requirements_of_the_project() -> None:
    named = {Requirement(each).name for each in requirements(["s3", "gcs"])}
    assert {"ray", "torch", "transformers", "s3fs", "gcsfs"} <= named
    assert "raycalib" not in named  # it comes with the job


def test_each_has_an_exact_version() -> None:
    assert {Requirement(each).name.lower() for each in requirements(["s3"])} <= PINS
    assert {Requirement(each).name.lower() for each in requirements(["gcs"])} <= PINS | MORE


def test_an_extra_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        requirements(["s4"])


@pytest.mark.parametrize("name", RAYS)
def test_the_files_ask_for_it_as_it_answers(name: str, tmp_path: Path) -> None:
    """The machine has pyproject.toml above the script, as the file_mounts put it there."""
    (call,) = [each for each in commands(name) if "dependencies.py" in each]
    extras = call.partition("dependencies.py")[2].partition(">")[0].split()
    (tmp_path / "cluster").mkdir()
    for path in ("pyproject.toml", "cluster/dependencies.py"):
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, str(tmp_path / "cluster" / "dependencies.py"), *extras]
    told = subprocess.run(command, text=True, capture_output=True, check=True).stdout.splitlines()
    assert told == requirements(extras)
    assert extras == {"aws": ["s3"], "gcp": ["gcs"], "local": []}[name]
