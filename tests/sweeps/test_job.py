"""The job's command line, before anything is started."""

import pytest

from jobs.sweep import main
from raycalib.errors import ConfigError

CELLS = ["--recipe", "smoke", "--axis", "kl_decay=0,1"]


def test_an_estimate_is_refused_and_asks_no_judge() -> None:
    with pytest.raises(ConfigError, match="estimate: this would start a run"):
        main([*CELLS, "--grader", "judge", "--judge-model", "m", "--estimate"])


def test_the_plan_says_trials_and_what_they_share(capsys: pytest.CaptureFixture[str]) -> None:
    main([*CELLS, "--axis", "steps=12,24", "--combos", "llama2:7b/oe", "--plan"])
    said = capsys.readouterr().out
    assert said.startswith("4 trials: 4 of each of 1 combos (kl_decay=0 steps=12; ")
    assert "72 optimizer steps in all, 1,152 rows forward and back" in said
    assert "llama2:7b: 1 worker;" in said


def test_the_plan_counts_the_steps_that_lengths_share_once(capsys: pytest.CaptureFixture[str]) -> None:
    wsd = ["--tuning.schedule", "wsd", "--tuning.decay-share", "0.25"]
    main([*CELLS, "--axis", "steps=24,12,48", "--combos", "llama2:7b/oe", *wsd, "--plan"])
    # Of each KL decay 12, then 24 and 48 from the 9 and 18 steps on that the one before each leaves.
    assert "114 optimizer steps in all (and 54 that trials of other steps share), 1,824 rows" in capsys.readouterr().out


def test_the_recipe_of_twelve_combos_has_axes_unless_some_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", "sweep12", "--plan"])
    assert capsys.readouterr().out.startswith("180 trials: 15 of each of 12 combos")
    main(["--recipe=sweep12", "--axis", "seed=1,2", "--plan"])
    assert capsys.readouterr().out.startswith("24 trials: 2 of each of 12 combos")


def test_the_small_sweep_of_twelve_combos_is_on_the_embedded_models(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", "sweep12-demo", "--plan"])
    said = capsys.readouterr().out
    assert said.startswith("48 trials: 4 of each of 12 combos (kl_decay=0 steps=120; ")
    main(["--recipe=sweep12-demo", "--models", "llama2:7b", "--axis", "steps=8,12", "--plan"])
    assert capsys.readouterr().out.startswith("4 trials: 2 of each of 2 combos (steps=8; steps=12)")
