"""Trials that find no room are said, and end after a while."""

from types import SimpleNamespace

import pytest

from raycalib.stages.output import StageError
from raycalib.stages.tuned import waiting
from raycalib.stages.tuned.waiting import WaitingForRoom


def test_what_waits_is_said_every_half_minute_and_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(waiting, "show", lambda text, key: said.append(text))
    now = [0.0]
    callback = WaitingForRoom(100, lambda: "each needs 1 GPU, and the cluster holds 0 of them", lambda: now[0])

    def look(at: float, *states: str) -> None:
        now[0] = at
        callback.on_step_begin(iteration=1, trials=[SimpleNamespace(status=state) for state in states])

    for at in range(0, 60, 5):
        look(at, "RUNNING", "PENDING")
    assert said == []
    for at in range(60, 160, 5):
        look(at, "PENDING", "PENDING", "TERMINATED")
    assert said == [
        f"  2 trials wait: each needs 1 GPU, and the cluster holds 0 of them; waiting since {waited} s"
        for waited in (30, 60, 90)
    ]
    look(160, "RUNNING", "PENDING")  # a node came
    look(165, "PENDING")
    look(264, "PENDING")
    with pytest.raises(StageError, match=r"1 trials found no room: each needs 1 GPU, .* waited 100 s \(--ray.wait"):
        look(265, "PENDING")
    look(500, "TERMINATED")
