"""A job's signs of life: what it is at, and not too often."""

from dataclasses import replace
from pathlib import Path

import pytest

from raycalib.stages.lines.beats import Beats, Doing
from raycalib.stages.workers import pulse, tuning_log
from raycalib.stages.workers.pulse import Pulse
from raycalib.stages.workers.tuning_log import TuningLog
from raycalib.storage import Location
from tests.stages.workers.test_tuning_log import EVALUATION, STEP


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Doing, str]]:
    found: list[tuple[Doing, str]] = []
    monkeypatch.setattr(pulse, "beat", lambda text, key: found.append((Doing.parsed(text), key)))
    return found


def test_signs_of_life_come_every_two_seconds_at_most_and_the_first_and_last_at_once(
    told: list[tuple[Doing, str]],
) -> None:
    now = [0.0]
    mine = Pulse("k", lambda: now[0])
    mine.begin("loading the model")
    for tenth in range(100):
        now[0] = tenth / 10
        mine.now(at=f"step {tenth}/100", step=tenth)
        mine.beat()
    mine.end()
    assert [(doing.at, doing.is_over) for doing, _ in told] == [
        ("loading the model", False),
        *((f"step {tenth}/100", False) for tenth in (20, 40, 60, 80)),
        ("done", True),
    ]
    assert {key for _, key in told} == {"k"}


def test_a_worker_beside_the_first_tells_nothing(told: list[tuple[Doing, str]]) -> None:
    mine = Pulse("")
    mine.begin("loading the model")
    mine.beat()
    mine.end()
    assert told == []


def test_it_knows_what_the_log_is_told(
    told: list[tuple[Doing, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning_log, "show", lambda line, key: None)
    monkeypatch.setattr(tuning_log, "end", lambda line, key: None)
    mine = Pulse("k", lambda: 0.0)
    log = TuningLog(Location(str(tmp_path)), "t", pulse=mine)
    log.show("reference states: 3 of 5 files to compute, in s3://bucket/out")
    log.observe_step(STEP)
    log.observe(replace(EVALUATION, val_nll=0.5))
    log.observe(replace(EVALUATION, val_nll=0.625))
    log.observe(replace(EVALUATION, val_nll=float("nan")))
    log.observe_step(replace(STEP, step=30, loss=1.25))
    assert mine.doing.at == "step 30/50"
    assert (mine.doing.step, mine.doing.steps, mine.doing.loss) == (30, 50, 1.25)
    assert mine.doing.best_nll == 0.5
    assert mine.doing.left_s is not None
    log.end(50, 10, 0.5)
    log.close()
    assert [doing.at for doing, _ in told] == ["reference states", "done"]


def test_the_newest_of_a_familys_is_taken_by_the_drivers_clock() -> None:
    now = [1.0]
    beats = Beats(lambda: now[0])
    beats.take("a", Doing(at="step 1/2").text, "7", "10.0.0.1")
    now[0] = 2.0
    beats.take("b", Doing(at="step 2/2", loss=0.5).text, "8", "10.0.0.1")
    last = beats.last(["a", "b", "c"])
    assert last is not None
    assert (last.heard_at, last.key, last.doing, last.pid) == (2.0, "b", Doing(at="step 2/2", loss=0.5), "8")
    assert beats.last(["c"]) is None
    with pytest.raises((TypeError, ValueError)):
        beats.take("a", '{"step": 1}', "7", "10.0.0.1")
