"""``ray job submit`` on a running cluster with token authentication: raycalib comes with the working directory."""

from collections.abc import Iterator
import os
from pathlib import Path
import socket
import subprocess
import sys
import time

import psutil
import pytest

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.write_text("a" * 64)
    port, dashboard = free_port(), free_port()
    secured = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | secured
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # the job's ``python``
    command = [RAY, "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}"]
    command += ["--dashboard-host=127.0.0.1", "--num-cpus=2", f"--temp-dir={folder}", "--disable-usage-stats"]
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        for _ in range(240):
            ready = subprocess.run(
                [RAY, "job", "list", "--address", address], env=environment, capture_output=True, timeout=60
            )
            if ready.returncode == 0:
                break
            assert head.poll() is None, (folder / "head.log").read_text()
            time.sleep(0.5)
        yield environment | {"JOB_ADDRESS": address}
    finally:
        family = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        head.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pipeline_runs_as_a_submitted_job_and_needs_the_token(cluster, tmp_path):
    submit = [RAY, "job", "submit", "--address", cluster["JOB_ADDRESS"], "--working-dir", ".", "--"]
    bare = {k: v for k, v in cluster.items() if not k.startswith("RAY_AUTH")} | {
        "RAY_AUTH_MODE": "disabled",
        "HOME": str(tmp_path),
    }
    refused = subprocess.run([*submit, "true"], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0

    where = [*submit, "python", "-c", "import raycalib; print('imported', raycalib.__file__)"]
    said = subprocess.run(where, cwd=ROOT, env=cluster, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    assert "working_dir_files" in next(line for line in said.stdout.splitlines() if line.startswith("imported"))

    job = [*submit, "python", "jobs/full_pipeline.py", "--recipe", "smoke", "--out", str(tmp_path / "run")]
    done = subprocess.run(job, cwd=ROOT, env=cluster, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert (tmp_path / "run" / "report" / "summary.json").is_file()
    assert "joining the Ray cluster" in done.stdout
