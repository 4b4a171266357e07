"""What a sweep does with trials that are cut off, and with those that were never begun."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raycalib.stages.boards.trackers.tracking import NO_TRACKING
from raycalib.stages.output import StageError
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import TuningResult
from raycalib.storage import Location
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.settings import SweepSettings
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_tune import job_of, row
from tests.sweeps.test_selection import cell

steps = import_module("raycalib.steps.sweep")  # where the step itself has its module's name
NO_LABELS = "labels: all 60 are 0"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    ray = RaySettings()
    return SimpleNamespace(
        out=Location(str(tmp_path / "out")), alive=[], cluster=None, config=SimpleNamespace(ray=ray, seed=1)
    )


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Cell, TuneJob]:
    found = {
        cell(combo="llama2:7b/oe", steps=steps): job_of(tmp_path, [row("train")], TuningSettings(steps=steps))
        for steps in (10, 20, 30)
    }
    monkeypatch.setattr(steps, "_jobs", lambda run, learned, cells: {each: found[each] for each in cells})
    return found


def became(monkeypatch: pytest.MonkeyPatch, failed: dict[str, str], cut_off: Sequence[str] = ()) -> None:
    """Has tuning end so."""
    result = TuningResult({}, failed, cut_off=frozenset(cut_off))
    monkeypatch.setattr(steps, "run_tuning", lambda *given, **named: result)


def swept(run: Any, jobs: dict[Cell, TuneJob], most_failed: int) -> Any:
    settings = SweepSettings(axes=("steps=10,20,30",), max_failed_trials=most_failed)
    return steps._swept(run, {}, list(jobs), settings, NO_TRACKING)


def states(run: Any) -> list[str]:
    header, *lines = run.out.local_path.joinpath("sweep", "leaderboard.csv").read_text().splitlines()
    return [line.split(",")[header.split(",").index("state")] for line in lines]


def test_of_trials_that_were_cut_off_none_is_chosen_and_none_has_failed(
    run: Any, jobs: dict[Cell, TuneJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [job.key for job in jobs.values()]
    no_room = "tuning failed: 2 trials found no room"
    became(monkeypatch, {keys[0]: "diverged"} | dict.fromkeys(keys[1:], no_room), keys[1:])
    with pytest.raises(
        StageError, match=r"2 of 3 trials are not finished, so nothing is chosen: .* found no room; the"
    ):
        swept(run, jobs, most_failed=1)
    assert sorted(states(run)) == ["failed", "unfinished", "unfinished"]


def test_trials_that_failed_count_among_those_that_may(
    run: Any, jobs: dict[Cell, TuneJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    became(monkeypatch, dict.fromkeys([job.key for job in jobs.values()], "diverged"))
    with pytest.raises(StageError, match="3 of 3 trials are not tuned, and 2 may fail"):
        swept(run, jobs, most_failed=2)


def test_those_whose_labels_say_nothing_were_not_begun_and_count_for_none(
    run: Any, jobs: dict[Cell, TuneJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.alive = [SimpleNamespace(model=SimpleNamespace(name="llama2:7b"), style="oe")]
    monkeypatch.setattr(steps, "not_tuned", lambda run, combo, learned, of: {job.key: NO_LABELS for job in of})
    became(monkeypatch, {})
    holes: list[str] = []
    run.failures = SimpleNamespace(add=lambda combo, error, method: holes.append(str(error)))
    assert swept(run, jobs, most_failed=0).chosen == []
    assert holes == [NO_LABELS]
    assert states(run) == ["failed"] * 3
