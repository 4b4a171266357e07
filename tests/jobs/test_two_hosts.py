"""Two hosts with a network of their own between them; one is cut off for a minute in the middle of the work.

Each is a network namespace of this machine with an end of a cable. Both see one directory, as of a shared mount.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import shutil
import subprocess
import time
from uuid import uuid4

import psutil
import pytest

from tests.jobs.commands import LIMIT_S, ROOT, STAGES, TWO_COMBOS, predictions, rows_of, run_job
from tests.jobs.processes import kill_family, processes_below, wait_for
from tests.jobs.ray_head import RAY, ray_head

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
FIRST, SECOND = "10.77.0.1", "10.77.0.2"
CUT_S = 60


def may_have_networks() -> str:
    """Why this process may make no network of its own; empty where it may."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and iproute2"
    name = f"rc-{uuid4().hex[:6]}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def two_networks() -> Iterator[tuple[str, str]]:
    """Names of two namespaces, joined by a cable."""
    tag = uuid4().hex[:6]
    names, ends = (f"rc-{tag}-a", f"rc-{tag}-b"), (f"rc{tag}a", f"rc{tag}b")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, (FIRST, SECOND), strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "cable")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "cable", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_nothing_is_lost_where_a_host_is_cut_off_for_a_minute(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    if reason := may_have_networks():
        pytest.skip(reason)
    out, calm, log = tmp_path / "out", tmp_path / "calm", tmp_path / "log"
    folder = tmp_path_factory.mktemp("r")
    with two_networks() as (here, there):
        first, second = ["ip", "netns", "exec", here], ["ip", "netns", "exec", there]
        with ray_head(folder, 1, flags=[f"--node-ip-address={FIRST}"], within=first) as head:
            start = [*second, str(RAY), "start", "--block", f"--address={head.address}", "--num-cpus=2"]
            with (tmp_path / "host.log").open("wb") as file:
                host = subprocess.Popen(
                    [*start, f"--node-ip-address={SECOND}", "--disable-usage-stats"],
                    env=head.environment,
                    stdout=file,
                    stderr=file,
                )
            submit = [*first, str(RAY), "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--"]
            with log.open("wb") as file:
                run = subprocess.Popen(
                    [*submit, "python", "jobs/full_pipeline.py", *TWO_COMBOS, "--out", str(out)],
                    cwd=ROOT,
                    env=head.environment,
                    stdout=file,
                    stderr=file,
                )
            try:
                of_host = psutil.Process(host.pid)
                at_work = lambda: processes_below(of_host, "MapWorker")  # noqa: E731
                wait_for(lambda: len(list(out.glob("answers/*/part-*"))) >= 2 and at_work(), run, log, LIMIT_S)
                print(f"cut off with {len(at_work())} worker(s) at work on the second host")
                ip("-n", there, "link", "set", "cable", "down")
                time.sleep(CUT_S)
                ip("-n", there, "link", "set", "cable", "up")
                assert run.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-4000:]
                print(f"the second host {'is still there' if host.poll() is None else 'was given up by Ray'}")
            finally:
                if host.poll() is None:
                    kill_family(host)
    run_job("full_pipeline", *TWO_COMBOS, "--out", str(calm))
    assert predictions(out) == pytest.approx(predictions(calm), abs=1e-6)
    for stage in STAGES[:-1]:
        for place in (calm / stage).iterdir():
            expected, found = ([row["row_id"] for row in rows_of(run / stage / place.name)] for run in (calm, out))
            assert sorted(found) == sorted(expected), f"{stage}: rows are lost or doubled"
    failed = json.loads((out / "report" / "summary.json").read_text())
    assert len(failed) == len(json.loads((calm / "report" / "summary.json").read_text()))
