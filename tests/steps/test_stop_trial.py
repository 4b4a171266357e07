"""``--stop-trial``: which trials can be stopped, and what is said of those that cannot."""

from pathlib import Path

import pytest

from jobs.sweep import main
from raycalib.errors import ConfigError
from raycalib.stages.tuned.stops import STOP, why_stopped
from raycalib.steps.stop_trial import stop_trials
from tests.steps.test_sweep_status import sweep


def test_a_trial_that_waits_or_is_at_work_is_told_to_stop_and_the_status_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, at_work, _, waits = sweep(tmp_path, None)
    out = str(tmp_path / "out")
    main(["--stop-trial", at_work.key[:8], waits.key, "--out", out])
    said = capsys.readouterr().out
    assert "llama2:7b/oe steps=20: stops within seconds and keeps a checkpoint; --restart-stopped goes on" in said
    assert [why_stopped(job.place) for job in (at_work, waits)] == ["by --stop-trial"] * 2
    main(["--status", "--out", out])
    said = capsys.readouterr().out
    assert f"{waits.key[:8]} llama2:7b/oe steps=40: stopped: by --stop-trial\n" in said
    assert "4 trials: 1 finished, 2 stopped, 1 failed\n" in said


def test_what_cannot_be_stopped_is_one_line_and_nothing_is_stopped(tmp_path: Path) -> None:
    done, at_work, failed, waits = jobs = sweep(tmp_path, None)
    out = str(tmp_path / "out")
    for names, expected in (
        ([at_work.key[:8], "zzz"], r"'zzz' is of no trial; allowed: .*--status says"),
        ([done.key], "is finished; name one that waits or is at work"),
        ([failed.key], "is failed; name one"),
        ([], "an ID is missing"),
        ([""], "'' is of no trial"),
    ):
        with pytest.raises(ConfigError, match=f"stop-trial: .*{expected}"):
            stop_trials(out, names)
    assert not any(job.place.exists(STOP) for job in jobs)
    stop_trials(out, [waits.key[:8]])
    with pytest.raises(ConfigError, match="is stopped; name one"):
        stop_trials(out, [waits.key[:8]])
    with pytest.raises(ConfigError, match="no sweep has begun"):
        stop_trials(str(tmp_path / "nowhere"), ["a"])
