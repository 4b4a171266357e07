"""``ray job submit`` on a running cluster with token authentication: raycalib comes with the working directory."""

from collections.abc import Iterator
from pathlib import Path
import subprocess

import pytest

from tests.jobs.ray_head import RAY, RayHead, ray_head

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(tmp_path_factory) -> Iterator[RayHead]:
    with ray_head(tmp_path_factory.mktemp("ray")) as head:
        yield head


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_pipeline_runs_as_a_submitted_job_and_needs_the_token(cluster, tmp_path):
    submit = [RAY, "job", "submit", "--address", cluster.dashboard, "--working-dir", ".", "--"]
    bare = {k: v for k, v in cluster.environment.items() if not k.startswith("RAY_AUTH")} | {
        "RAY_AUTH_MODE": "disabled",
        "HOME": str(tmp_path),
    }
    refused = subprocess.run([*submit, "true"], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0

    where = [*submit, "python", "-c", "import raycalib; print('imported', raycalib.__file__)"]
    said = subprocess.run(where, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    assert "working_dir_files" in next(line for line in said.stdout.splitlines() if line.startswith("imported"))

    swept = [*submit, "python", "jobs/full_pipeline.py", "--recipe", "smoke"]  # runs/demo, beside the job's own files
    said = subprocess.run(swept, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=300)
    assert said.returncode != 0
    assert "error: out: " in said.stdout
    assert "which is removed after the job; name a place that all nodes see: --out" in said.stdout
    assert "joining the Ray cluster" not in said.stdout

    job = [*submit, "python", "jobs/full_pipeline.py", "--recipe", "smoke", "--out", str(tmp_path / "run")]
    done = subprocess.run(job, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert (tmp_path / "run" / "report" / "summary.json").is_file()
    assert "joining the Ray cluster" in done.stdout
