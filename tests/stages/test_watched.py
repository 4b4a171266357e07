"""Trials whose processes end are said, bounded and counted."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from raycalib.errors import StorageError
from raycalib.stages.output import StageError
from raycalib.stages.tuned import watched
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.watched import DEATHS_IN_VAIN, STORE_FAULTS, WatchedTrials
from raycalib.tuning.checkpoint import TrainingState, save_checkpoint
from tests.stages.test_tune import job_of, row

KEY = "sk-planted-7f3a9c1e5b"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(watched, "say", found.append)
    return found


def trial(number: int = 0, error: str = "died") -> SimpleNamespace:
    raised = RuntimeError(f"Traceback\n{error}")
    return SimpleNamespace(
        config={"job": number}, trial_id=str(number), get_pickled_error=lambda: raised, get_error=lambda: raised
    )


def test_ends_without_a_checkpoint_between_them_are_bounded(tmp_path: Path, said: list[str]) -> None:
    job = job_of(tmp_path, [row("train")])
    callback = WatchedTrials([job], "run", None)

    def die() -> None:
        callback.on_trial_recover(iteration=1, trials=[], trial=trial())

    die()
    save_checkpoint(
        job.place / "checkpoints", TrainingState(step=5, best_step=0, best_nll=None, history=(), tensors={}), "k"
    )
    for _ in range(DEATHS_IN_VAIN - 1):
        die()
    assert said == [
        "  tune tiny oe: its process ended (died); it begins again",
        *["  tune tiny oe: its process ended (died); it goes on from step 5"] * (DEATHS_IN_VAIN - 1),
    ]
    assert not job.place.exists(FAILURE)
    die()
    assert job.place.read_json(FAILURE) == {
        "error": "its process ended 3 times without a new checkpoint (died)", "run": "run",
    }  # fmt: skip
    assert len(said) == DEATHS_IN_VAIN
    callback.most_failed = 0  # it counts as failed
    with pytest.raises(StageError, match="1 trials have failed"):
        callback.on_step_begin(iteration=9, trials=[])


def test_a_store_that_does_not_answer_ends_no_trial_and_is_asked_for_long(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, [row("train")])
    callback = WatchedTrials([job], "run", None)
    silent = trial(error="raycalib.errors.StorageError: cannot read s3://bucket/run: 503")
    for _ in range(STORE_FAULTS - 1):
        callback.on_trial_recover(iteration=1, trials=[], trial=silent)
    assert not job.place.exists(FAILURE)
    with monkeypatch.context() as patched:
        patched.setattr(watched, "is_settled", refuse)
        callback.on_trial_recover(iteration=1, trials=[], trial=trial())
        assert said[-1].endswith("the store did not say which: cannot read: 503")
        callback.on_trial_error(iteration=1, trials=[], trial=trial())
    assert job.key in callback.failed, "Tune has given it up"


def refuse(*given: object) -> bool:
    raise StorageError("cannot read: 503")


def test_one_that_ends_before_it_sees_that_it_was_given_up_ends_the_run(tmp_path: Path, said: list[str]) -> None:
    callback = WatchedTrials([job_of(tmp_path, [row("train")])], "run", None)
    for _ in range(2 * DEATHS_IN_VAIN - 1):
        callback.on_trial_recover(iteration=1, trials=[], trial=trial(error="no module named torch"))
    with pytest.raises(StageError, match=r"tiny oe ends whenever it is started \(no module named torch\)"):
        callback.on_trial_recover(iteration=1, trials=[], trial=trial(error="no module named torch"))


def test_once_more_have_failed_than_may_all_are_ended(tmp_path: Path, said: list[str]) -> None:
    jobs = [job_of(tmp_path, [row("train")])] * 3
    bounded, unbounded = WatchedTrials(jobs, "run", 1), WatchedTrials(jobs, "run", None)
    for callback in (bounded, unbounded):
        callback.on_trial_result(iteration=1, trials=[], trial=trial(0), result={"val_nll": 0.5})
        for _ in range(2):
            callback.on_trial_result(iteration=1, trials=[], trial=trial(1), result={"failed": 1})
        callback.on_step_begin(iteration=2, trials=[])
        callback.on_trial_error(iteration=2, trials=[], trial=trial(2, "no such device"))
    unbounded.on_step_begin(iteration=3, trials=[])
    with pytest.raises(StageError, match=r"stopped, since 2 trials have failed, more than 1 \(--max-failed-trials\)"):
        bounded.on_step_begin(iteration=3, trials=[])
    assert "  tune tiny oe: failed: no such device" in said


def test_a_secret_in_a_cause_is_hidden(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "hide_message", lambda text: text.replace(KEY, "<key>"))
    callback = WatchedTrials([job_of(tmp_path, [row("train")])], "run", None)
    callback.on_trial_error(iteration=1, trials=[], trial=trial(0, f"403 for ?signature={KEY}"))
    assert said == ["  tune tiny oe: failed: 403 for ?signature=<key>"]
