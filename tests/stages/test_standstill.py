"""What no node holds any more is said, and waited for with a bound; what a node holds may take its time."""

from typing import ClassVar

import pytest
from ray.data._internal.actor_autoscaler.autoscaling_actor_pool import ActorPoolInfo

from raycalib.stages import standstill
from raycalib.stages.output import StageError
from raycalib.stages.standstill import Standstill


def test_what_is_lacking_is_said_and_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, lack = [100.0], [""]
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: lack[0] and f"{lack[0]} of {cpus}, {gpus}")
    monkeypatch.setattr(standstill, "no_actor_runs", lambda executor: False)
    seen = Standstill("answers m", 1.0, 2.0, 60.0)

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
    now, pool = [0.0], ActorPoolInfo(running=0, pending=2, restarting=0)

    class Operator:
        def get_actor_info(self) -> ActorPoolInfo:
            return pool

    class Executor:
        _topology: ClassVar = {Operator(): None}

    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: "")
    lack = ["others use all"]
    monkeypatch.setattr(standstill, "lack_of_free_resources", lambda cpus, gpus: lack[0])
    seen = Standstill("answers m", 1.0, 1.0, 60.0)

    def at(seconds: float) -> str:
        now[0] = seconds
        seen.on_execution_step(Executor())
        return capsys.readouterr().out

    assert at(100) == "  answers m: others use all; waiting since 0 s\n"
    pool = ActorPoolInfo(running=1, pending=1, restarting=0)
    assert at(120) == ""
    pool = ActorPoolInfo(running=0, pending=2, restarting=0)
    lack[0] = ""  # the actors are being started
    assert at(140) == ""
    lack[0] = "others use all"
    assert at(160).startswith("  answers m: others use all")
    with pytest.raises(StageError, match=r"others use all; waited 60 s \(--ray.wait-for-nodes-s\)"):
        at(220)
