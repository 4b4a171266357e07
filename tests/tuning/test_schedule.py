"""Learning rates, as written-out arithmetic."""

import math

import pytest

from raycalib.tuning.schedule import branch_step, learning_rate
from raycalib.tuning.settings import TuningSettings


def rates(settings: TuningSettings) -> list[float]:
    return [learning_rate(settings, step) for step in range(settings.steps)]


def test_a_cosine_is_the_papers() -> None:
    found = rates(TuningSettings(steps=4, lr=2.0, warmup_steps=2))
    assert found == pytest.approx([1.0, 1 + math.cos(math.pi / 4), 1.0, 1 + math.cos(math.pi * 3 / 4)], rel=1e-12)


def test_wsd_warms_up_stays_and_falls_in_a_straight_line() -> None:
    settings = TuningSettings(steps=8, lr=2.0, warmup_steps=2, schedule="wsd", decay_share=0.5)
    assert rates(settings) == [1.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 0.5]


def test_a_decay_that_begins_within_the_warm_up_multiplies_it() -> None:
    settings = TuningSettings(steps=4, lr=1.0, warmup_steps=4, schedule="wsd", decay_share=1.0)
    assert rates(settings) == [1 / 4, 2 / 4 * 3 / 4, 3 / 4 * 2 / 4, 1 / 4]


@pytest.mark.parametrize(("steps", "share", "branch"), [(5000, 0.2, 4000), (10, 0.25, 8), (1, 0.2, 0), (7, 1.0, 0)])
def test_all_lengths_have_the_same_rates_up_to_their_branch_points(steps: int, share: float, branch: int) -> None:
    settings = TuningSettings(steps=steps, warmup_steps=3, schedule="wsd", decay_share=share)
    assert branch_step(settings) == branch
    longer = TuningSettings(steps=9000, warmup_steps=3, schedule="wsd")
    assert rates(settings)[:branch] == rates(longer)[:branch]


def test_a_short_run_has_a_decay_too() -> None:
    assert branch_step(TuningSettings(steps=2, schedule="wsd", decay_share=0.1)) == 1


def test_no_step_of_a_cosine_is_shared() -> None:
    assert branch_step(TuningSettings(steps=100)) == 0
