"""What no node holds any more is said, and waited for with a bound; what a node holds may take its time."""

from threading import Event

import pytest
from ray.data._internal.actor_autoscaler.autoscaling_actor_pool import ActorPoolInfo

from raycalib.stages.chains.stopping import StoppedError
from raycalib.stages.output import StageError
from raycalib.stages.pools import standstill
from raycalib.stages.pools.standstill import AtWork, Needs, Standstill


class Operator:
    """Of a pool with so many actors."""

    def __init__(self, running: int, pending: int) -> None:
        self.info = ActorPoolInfo(running=running, pending=pending, restarting=0)

    def get_actor_info(self) -> ActorPoolInfo:
        return self.info


class Executor:
    def __init__(self, running: int, pending: int) -> None:
        self._topology = {Operator(running, pending): None}


@pytest.fixture(autouse=True)
def at_work(monkeypatch: pytest.MonkeyPatch) -> AtWork:
    monkeypatch.setattr(standstill, "AT_WORK", AtWork())
    return standstill.AT_WORK


def test_what_is_lacking_is_said_and_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, lack = [100.0], [""]
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: lack[0] and f"{lack[0]} of {cpus}, {gpus}")
    monkeypatch.setattr(standstill, "no_actor_runs", lambda executor: False)
    seen = Standstill("answers m", Needs(1.0, 2.0, 60.0))

    def at(seconds: float, lacking: str) -> str:
        now[0], lack[0] = 100.0 + seconds, lacking
        seen.on_execution_step(None)
        return capsys.readouterr().out

    assert at(10_000, "") == ""
    assert at(10_010, "none") == ""  # it looks every 15 seconds
    assert at(10_020, "none") == "  answers m: none of 1.0, 2.0; waiting since 0 s\n"
    assert at(10_040, "none") == ""  # it says so every 30 seconds
    assert at(10_060, "none") == "  answers m: none of 1.0, 2.0; waiting since 40 s\n"
    assert at(10_076, "") == ""
    assert at(10_096, "none") == "  answers m: none of 1.0, 2.0; waiting since 0 s\n"
    with pytest.raises(StageError, match=r"answers m: none of 1.0, 2.0; waited 60 s .*run the same command again"):
        at(10_156, "none")


def test_a_pool_that_waits_behind_others_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nodes have what a worker needs, and another job holds it."""
    now, pool = [0.0], Executor(running=0, pending=2)
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: "")
    lack = ["others use all"]
    monkeypatch.setattr(standstill, "lack_of_free_resources", lambda cpus, gpus: lack[0])
    seen = Standstill("answers m", Needs(1.0, 1.0, 60.0))

    def at(seconds: float) -> str:
        now[0] = seconds
        seen.on_execution_step(pool)
        return capsys.readouterr().out

    assert at(100) == "  answers m: others use all; waiting since 0 s\n"
    pool = Executor(running=1, pending=1)
    assert at(120) == ""
    pool = Executor(running=0, pending=2)
    lack[0] = ""  # the actors are being started
    assert at(140) == ""
    lack[0] = "others use all"
    assert at(160).startswith("  answers m: others use all")
    with pytest.raises(StageError, match=r"others use all; waited 60 s \(--ray.wait-for-nodes-s\)"):
        at(220)


def test_a_pool_waits_for_others_of_its_run_as_long_as_they_are_at_work(
    monkeypatch: pytest.MonkeyPatch, at_work: AtWork
) -> None:
    now = [0.0]
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: "")
    monkeypatch.setattr(standstill, "lack_of_free_resources", lambda cpus, gpus: "others use all")
    works, waits = (Standstill(name, Needs(1.0, 0.0, 60.0)) for name in ("answers a", "answers b"))
    for second in range(0, 600, 20):
        now[0] = float(second)
        works.on_execution_step(Executor(running=1, pending=0))
        waits.on_execution_step(Executor(running=0, pending=1))
    at_work.mark(works, False)  # it has come to its end, and it is another job that uses all
    now[0] = 620
    waits.on_execution_step(Executor(running=0, pending=1))
    now[0] = 680
    with pytest.raises(StageError, match="answers b: others use all; waited 60 s"):
        waits.on_execution_step(Executor(running=0, pending=1))


def test_a_judge_takes_nothing_that_others_could_use_or_wait_for(
    monkeypatch: pytest.MonkeyPatch, at_work: AtWork
) -> None:
    now = [0.0]
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: "")
    monkeypatch.setattr(standstill, "lack_of_free_resources", lambda cpus, gpus: "others use all")
    judge = Standstill("labelled a", Needs(1.0, 0.0, 60.0, takes_cpus=False))
    for second in (20, 40, 100, 200):
        now[0] = float(second)
        judge.on_execution_step(Executor(running=0, pending=1))
    judge.on_execution_step(Executor(running=1, pending=0))
    assert not at_work.has_others(Standstill("answers a", Needs(1.0, 0.0, 60.0)))


def test_work_whose_run_is_ended_ends_at_once() -> None:
    ended = Event()
    seen = Standstill("answers m", Needs(1.0, 1.0, 60.0), (ended,))
    seen.on_execution_step(None)
    ended.set()
    with pytest.raises(StoppedError):
        seen.on_execution_step(None)
