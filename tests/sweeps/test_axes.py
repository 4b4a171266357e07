"""Axes as they are written on a command line."""

from dataclasses import replace

import pytest

from raycalib.errors import ConfigError
from raycalib.sweeps.axes import parse_axes, shown_value, with_value
from raycalib.tuning.settings import TuningSettings

BASE = TuningSettings(steps=100, eval_every=20, checkpoint_every=10)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("kl_decay=0,0.1,0.5,1,2", (0.0, 0.1, 0.5, 1.0, 2.0)),
        ("kl-decay=1", (1.0,)),
        ("steps= 500, 5000", (500, 5000)),
        ("train_rows=200,1000,all", (200, 1000, 0)),
        ("method=lora_prompt,lora,probe", ("lora_prompt", "lora", "probe")),
        ("seed=1,2,3", (1, 2, 3)),
        ("lr=1e-4,3e-4", (1e-4, 3e-4)),
    ],
)
def test_values_are_read_as_their_setting_wants_them(text: str, values: tuple[object, ...]) -> None:
    (axis,) = parse_axes([text], BASE)
    assert axis.values == values


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["dropout=0.1"],
            "axis: 'dropout' is unknown; allowed: method, kl_kind, kl_decay, steps, lr, train_rows, seed",
        ),
        (["steps"], "axis: steps has no values; write them as steps=A,B"),
        (["steps=,"], "axis: steps has no values"),
        (["steps=12,x"], "axis: steps=x is not allowed; a whole number is needed"),
        (["steps=1.5"], "axis: steps=1.5 is not allowed; a whole number is needed"),
        (["kl_decay=much"], "axis: kl_decay=much is not allowed; a number is needed"),
        (["kl_decay=-1"], "axis: tuning.kl_decay: -1.0 is not allowed; at least 0"),
        (["kl_decay=nan"], "axis: tuning.kl_decay: nan is not allowed; at least 0"),
        (["lr=0"], "axis: tuning.lr: 0.0 is not allowed; above 0"),
        (["kl_kind=tv"], "axis: tuning.kl_kind: 'tv' is unknown; allowed: jsd, forward, reverse"),
        (["train_rows=some"], "axis: train_rows=some is not allowed; a whole number or 'all' is needed"),
        (["seed=-1"], "axis: seed=-1 is not allowed; at least 0"),
        (
            ["method=zero_shot_query"],
            "axis: method=zero_shot_query is not allowed; lora_prompt, lora, probe, which are trained",
        ),
        (["steps=12,12"], "axis: steps has a value twice (12,12); name each once"),
        (["steps=12", "steps=24"], "axis: 'steps' stands twice; give all its values at once, as steps=A,B"),
    ],
)
def test_what_is_no_axis_is_one_clear_line(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_axes(texts, BASE)
    assert str(raised.value).startswith(said)


def test_evaluations_and_checkpoints_follow_the_steps() -> None:
    longer = with_value(BASE, "steps", 250)
    assert (longer.steps, longer.eval_every, longer.checkpoint_every) == (250, 50, 25)
    assert with_value(BASE, "steps", 2).eval_every == 1


def test_evaluations_of_all_lengths_under_wsd_are_at_the_same_steps() -> None:
    longer = with_value(replace(BASE, schedule="wsd"), "steps", 250)
    assert (longer.steps, longer.eval_every, longer.checkpoint_every) == (250, 20, 10)


def test_values_are_shown_as_they_are_written() -> None:
    assert [shown_value(*each) for each in (("kl_decay", 0.5), ("steps", 500), ("train_rows", 0), ("lr", 1e-4))] == [
        "0.5", "500", "all", "0.0001",
    ]  # fmt: skip
