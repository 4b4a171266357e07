"""Rungs: the rule on written-out numbers, and Ray's ASHA as a second opinion."""

from pathlib import Path
import random
from types import SimpleNamespace

import pytest

from raycalib.storage import Location
from raycalib.tuning.rungs import Rungs, cutoff, milestones


def rungs(place: Path, key: str, at: tuple[int, ...] = (10, 30), factor: float = 2) -> Rungs:
    return Rungs(place=Location(str(place)), key=key, milestones=at, reduction_factor=factor)


def test_milestones_are_powers_below_the_end() -> None:
    assert milestones(10, 3, 90) == (10, 30)
    assert milestones(0, 2, 5) == (1, 2, 4)
    assert milestones(4, 1.5, 14) == (4, 6, 9, 13)
    assert milestones(20, 3, 20) == ()


def test_the_first_goes_on_and_later_ones_need_not_be_worse_than_the_bound(tmp_path: Path) -> None:
    assert cutoff([], 2) is None
    assert rungs(tmp_path, "a").falls_behind(5, 9.0) == "", "before the first milestone"
    assert rungs(tmp_path, "a").falls_behind(10, 0.5) == ""
    assert rungs(tmp_path, "b").falls_behind(10, 0.6) == (
        "val NLL 0.6000 at step 10 is above 0.5000, the bound of the best of every 2 among 1 trials evaluated "
        "there before"
    )
    assert rungs(tmp_path, "c").falls_behind(10, 0.54) == "", "the median of 0.5 and 0.6 is 0.55"
    assert rungs(tmp_path, "a").falls_behind(20, 9.0) == "", "compared once at a milestone"
    assert rungs(tmp_path, "a").falls_behind(30, 9.0) == "", "the first to come there"


def test_one_that_begins_on_its_way_is_not_compared_with_younger_ones(tmp_path: Path) -> None:
    rungs(tmp_path, "from a trunk").falls_behind(20, 0.3)
    assert rungs(tmp_path, "from the beginning").falls_behind(10, 0.5) == "", "ten steps younger, and the first of them"
    assert rungs(tmp_path, "a third").falls_behind(10, 0.6) != ""
    assert rungs(tmp_path, "another trunk's").falls_behind(20, 0.4).endswith("among 1 trials evaluated there before")


def test_an_evaluation_that_is_done_again_is_judged_again_and_a_number_that_is_none_stops_nobody(
    tmp_path: Path,
) -> None:
    rungs(tmp_path, "a").falls_behind(10, 0.5)
    first = rungs(tmp_path, "b").falls_behind(10, 0.7)
    assert first
    assert rungs(tmp_path, "b").falls_behind(10, 0.7) == first
    assert rungs(tmp_path, "c").falls_behind(10, float("nan")) == ""
    assert rungs(tmp_path, "d").falls_behind(10, 0.5) == ""


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_rays_asha_decides_the_same(tmp_path: Path, factor: int, seed: int) -> None:
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.schedulers.trial_scheduler import TrialScheduler

    draw, steps, n = random.Random(seed), 30, 12
    rays = ASHAScheduler(
        time_attr="step", metric="nll", mode="min", max_t=steps, grace_period=1, reduction_factor=factor
    )
    trials = {key: SimpleNamespace(trial_id=key, status="RUNNING") for key in map(str, range(n))}
    for trial in trials.values():
        rays.on_trial_add(None, trial)
    left, at = list(trials), dict.fromkeys(trials, 0)
    stopped = []
    while left:
        key = draw.choice(left)
        at[key] += 1
        nll = draw.random()
        said = rays.on_trial_result(None, trials[key], {"step": at[key], "nll": nll})
        is_last = at[key] == steps
        ours = rungs(tmp_path, key, milestones(1, factor, steps), factor).falls_behind(at[key], nll)
        if not is_last:
            assert bool(ours) == (said == TrialScheduler.STOP)
        if ours or is_last:
            left.remove(key)
            stopped += [key] if ours else []
    assert stopped
