"""Hours of a sweep, its prices, and how many trials are at work at once."""

from dataclasses import replace
from typing import Any

import pytest

from raycalib.sweeps.at_once import Room, trials_at_once
from raycalib.sweeps.axes import parse_axes
from raycalib.sweeps.cells import grid
from raycalib.sweeps.cost_plan import compared_rows, model_flops
from raycalib.tuning.compute_plan import reading_flops, tuning_flops
from raycalib.tuning.settings import TuningSettings
from tests.tuning.test_compute_plan import RUN

BASE = TuningSettings(steps=10, global_batch_size=2, eval_every=5)
HERE = Room(cpus=16, gpus=4, is_joined=False, most=64, is_said=False)


def test_what_combos_share_counts_once_for_each_and_probes_count_nothing() -> None:
    axes = parse_axes(["method=lora_prompt,probe", "kl_decay=0,1", "steps=10,20"], BASE)
    cells = grid(["m/oe", "m/choice"], axes, BASE, 1)
    found = model_flops(cells, RUN, val_rows=7)
    one = [tuning_flops(RUN, steps, 2, steps // 2, 7) for steps in (10, 20)]
    assert found.trials == len(cells) == 2 * (2 * 2 + 1)
    assert found.validation == 2 * 2 * sum(each.validation for each in one)
    alone = [tuning_flops(replace(RUN, compares=False), steps, 2, steps // 2, 7) for steps in (10, 20)]
    assert found.steps == 2 * sum(each.steps for each in (*one, *alone))
    # of each combo: features of 50 + 7 rows of 8 tokens, and the base model's states at the 40 rows of 20 steps
    assert found.shared == 2 * (reading_flops(RUN, 57, 8) + reading_flops(RUN, 40, 10))
    assert sum(found.groups) == pytest.approx(found.steps + found.validation)
    assert (len(found.groups), found.scaled(1).groups, found.scaled(0.5).groups) == (2 * 2 * 2, found.groups, ())
    half = found.scaled(0.5)
    assert (half.steps, half.validation, half.shared) == (found.steps / 2, found.validation / 2, found.shared)


def test_trials_that_share_a_trunk_follow_one_another() -> None:
    axes = parse_axes(["lr=1e-4,2e-4", "steps=10,20"], replace(BASE, schedule="wsd"))
    found = model_flops(grid(["m/oe"], axes, replace(BASE, schedule="wsd"), 1), RUN, val_rows=7)
    assert len(found.groups) == 2
    assert found.groups[0] == found.groups[1] == pytest.approx((found.steps + found.validation) / 2)


def test_states_are_needed_of_the_rows_that_are_read() -> None:
    def rows(*axes: str) -> int:
        return compared_rows(grid(["m/oe"], parse_axes(axes, BASE), BASE, 1), RUN)

    assert rows("kl_decay=0") == 0
    assert rows("steps=10,20") == 40
    assert rows("steps=1000") == RUN.rows
    assert rows("steps=1000", "train_rows=30") == 30


@pytest.mark.parametrize(
    ("room", "asked", "n", "why"),
    [
        ({}, (100, 1, 1.0, 1), 4, "1 CPU, 1 GPU each, and this machine has 4 GPUs"),
        ({}, (100, 1, 8.0, 1), 2, "8 CPU, 1 GPU each, and this machine has 16 CPUs"),
        ({}, (100, 2, 1.0, 1), 2, "2 CPU, 2 GPU each, and this machine has 4 GPUs"),
        ({}, (100, 1, 2.0, 0), 8, "2 CPU each, and this machine has 16 CPUs"),
        ({}, (3, 1, 1.0, 1), 3, "3 in all that do not wait for one another"),
        ({"most": 2, "is_said": True}, (100, 1, 1.0, 1), 2, "--workers 2"),
        ({"gpus": 0}, (9, 1, 1.0, 1), 0, "1 CPU, 1 GPU are needed, and this machine has 0 GPUs; start it on a cluster"),
        (
            {"is_joined": True},
            (100, 4, 1.0, 1),
            None,
            "as many as the cluster has room for (4 CPU, 4 GPU each), more as nodes join, up to 16 (where --workers "
            "does not say)",
        ),
        ({}, (2, 1, 1.0, 1, True), 2, "Optuna asks for 2 at a time"),
        ({}, (4, 1, 1.0, 1, True), 4, "1 CPU, 1 GPU each, and this machine has 4 GPUs"),
        (
            {"is_joined": True},
            (12, 1, 1.0, 1, True),
            None,
            "as many as the cluster has room for (1 CPU, 1 GPU each), more as nodes join, up to 12 (Optuna asks for 12 "
            "at a time)",
        ),
    ],
)
def test_the_scarcest_resource_or_a_flag_bounds_trials_at_once(
    room: dict[str, int], asked: tuple[Any, ...], n: int | None, why: str
) -> None:
    assert trials_at_once(Room(**(vars(HERE) | room)), *asked) == (n, why)
