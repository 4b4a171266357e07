"""The doctor as a user calls it: a machine that is well, and faults that it finds and leaves nothing of."""

from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

from raycalib.doctor import examine
from raycalib.doctor.check import Check
from raycalib.doctor.node_probe import Probe, source_hash
from raycalib.errors import ConfigError, StorageError
from raycalib.lm.names import ModelSource
from raycalib.secrets import remember
from raycalib.storage import Location
from tests.jobs.commands import ROOT
from tests.jobs.ray_head import RayHead, ray_head

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    with ray_head(tmp_path_factory.mktemp("r")) as head:
        yield head


def doctor(head: RayHead, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "jobs/doctor.py", "--recipe", "smoke", "--ray.address", head.address, *flags]
    return subprocess.run(
        command, cwd=ROOT, env=head.environment, capture_output=True, text=True, timeout=300, check=False
    )


def verdicts(said: str) -> dict[str, str]:
    lines = [line.split(maxsplit=2) for line in said.splitlines() if line.startswith(("  ok  ", "  FAIL  "))]
    return {line[1]: line[0] for line in lines}


def test_a_cluster_that_is_well(head: RayHead, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = doctor(head, "--out", str(out))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert verdicts(done.stdout) == dict.fromkeys(
        [
            "data",
            "workers",
            "out",
            "nodes",
            "versions",
            "weights",
            "storage",
            "clocks",
            "/dev/shm",
            "ulimit",
            "token",
            "ports",
        ],
        "ok",
    )
    assert done.stdout.rstrip().endswith("all 12 checks are well")
    assert list(out.iterdir()) == [], "something is left"


def test_faults_are_all_said_and_the_code_is_two(head: RayHead, tmp_path: Path) -> None:
    flags = ["--grader", "judge", "--judge-model", "m", "--judge-base-url", "http://127.0.0.1:9/v1"]
    done = doctor(head, "--out", str(tmp_path), "--eval", "hub:no/such", *flags, "--judge-timeout-s", "5")
    assert done.returncode == 2, done.stdout + done.stderr
    found = verdicts(done.stdout)
    assert {name for name, verdict in found.items() if verdict == "FAIL"} == {"data", "judge"}
    assert done.stderr == "error: doctor: 2 of 13 checks failed: data, judge\n"


def test_gpus_that_are_numbers_are_found_out(head: RayHead, tmp_path: Path) -> None:
    done = doctor(head, "--out", str(tmp_path), "--ray.gpus-per-worker", "1", "--ray.wait-for-nodes-s", "2")
    assert done.returncode == 2
    assert {name for name, verdict in verdicts(done.stdout).items() if verdict == "FAIL"} == {"workers", "GPUs"}
    assert "a worker needs 1 CPUs, 1 GPUs on one node" in done.stdout


def test_a_place_that_is_each_nodes_own_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unseen(out: Location, nodes: dict[str, str]) -> None:
        assert nodes == {"a": "10.0.0.1", "b": "10.0.0.2"}
        raise ConfigError(f"out: {out.uri} is not one directory for all nodes of the cluster")

    monkeypatch.setattr(examine, "check_seen", unseen)
    check = examine.shared_check(Location(str(tmp_path)), {"a": "10.0.0.1", "b": "10.0.0.2"})
    assert not check.is_well
    assert "is not one directory for all nodes" in check.line()


def test_no_secret_is_in_a_line() -> None:
    secret = "sk-" + "aB3" * 12
    remember(secret)
    assert secret not in Check(name="weights", found=f"the hub said {secret}").line()


def test_a_probe_measures_what_it_wrote_and_leaves_nothing(tmp_path: Path) -> None:
    written, read = Probe().speed(Location(str(tmp_path)))
    assert min(written, read) > 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Probe().speed(Location(str(tmp_path / "file")))


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    models = [ModelSource(name="gone", path=str(tmp_path / "gone"), is_local=True)]
    assert Probe().facts(False, models).missing_weights == {"gone": f"{tmp_path / 'gone'} is not there"}


def test_the_source_hash_follows_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = source_hash(tmp_path)
    assert source_hash(tmp_path) == first
    (tmp_path / "a.py").write_text("2")
    assert source_hash(tmp_path) != first
