"""Cells of a grid and of a random draw."""

from dataclasses import replace

import pytest

from raycalib.errors import ConfigError
from raycalib.sweeps.axes import parse_axes
from raycalib.sweeps.cells import grid, matching_combos, sample, within_rows
from raycalib.sweeps.config import SweepConfig, cells_of
from raycalib.sweeps.settings import SweepSettings
from raycalib.tuning.settings import TuningSettings

BASE = TuningSettings(steps=100)
COMBOS = ["llama2:7b/oe", "llama2:7b/choice", "mistral:7b/oe"]


def cells(*axes: str, combos: list[str] | None = None):
    return grid(combos or ["m/oe"], parse_axes(axes, BASE), BASE, 137)


def test_a_grid_begins_with_one_of_each_combo_and_goes_on_model_by_model() -> None:
    found = cells("kl_decay=0,1", "steps=10,20", combos=["a/oe", "b/oe", "a/choice"])
    assert [cell.combo for cell in found] == ["a/oe", "a/choice", "b/oe", *["a/oe", "a/choice"] * 3, *["b/oe"] * 3]
    of_b = [cell for cell in found if cell.combo == "b/oe"]
    assert [cell.title for cell in of_b] == [
        "kl_decay=0 steps=10", "kl_decay=0 steps=20", "kl_decay=1 steps=10", "kl_decay=1 steps=20",
    ]  # fmt: skip
    assert [(cell.settings.kl_decay, cell.settings.steps) for cell in of_b] == [
        (0, 10),
        (0, 20),
        (1, 10),
        (1, 20),
    ]
    assert {cell.seed for cell in found} == {137}


def test_cells_that_come_to_the_same_are_one() -> None:
    assert len(cells("kl_kind=jsd,forward,reverse", "kl_decay=0,1")) == 1 + 3
    assert len(cells("method=lora_prompt,lora", "kl_decay=0,0.5,1")) == 3 + 1


def test_what_lora_does_not_use_is_as_in_the_run() -> None:
    base = TuningSettings(kl_decay=0.5)
    (found,) = grid(["m/oe"], parse_axes(["method=lora", "kl_decay=0,1"], base), base, 1)
    assert found.settings == TuningSettings(kl_decay=0.5, method="lora")
    assert found.title == "method=lora"


def test_a_probe_follows_rows_and_seed_alone() -> None:
    found = cells("method=probe,lora_prompt", "kl_decay=0,1", "steps=10,20", "lr=1e-3,1e-4", "train_rows=20,all")
    probes = [cell for cell in found if cell.is_probe]
    assert [cell.title for cell in probes] == ["method=probe train_rows=20", "method=probe train_rows=all"]
    assert len(found) == 2 + 2 * 2 * 2 * 2
    assert {(cell.settings.steps, cell.settings.eval_every) for cell in probes} == {(BASE.steps, BASE.eval_every)}


def test_as_many_rows_as_there_are_or_more_are_all_of_them() -> None:
    found = cells("train_rows=200,1000,5000,all", combos=["a/oe", "b/oe", "c/oe"])
    within = within_rows(found, {"a/oe": 1000, "b/oe": 1001})
    titles = {combo: [cell.title for cell in within if cell.combo == combo] for combo in ("a/oe", "b/oe", "c/oe")}
    fewer, whole = ["train_rows=200", "train_rows=1000", "train_rows=5000"], ["train_rows=all"]
    assert titles == {"a/oe": fewer[:1] + whole, "b/oe": fewer[:2] + whole, "c/oe": fewer + whole}
    assert [cell.settings.train_rows for cell in within if cell.combo == "a/oe"] == [200, 0]
    assert {cell for cell in found if cell.settings.train_rows in (0, 200)} < set(within)
    assert within_rows(cells("kl_decay=0,1"), {"m/oe": 5}) == cells("kl_decay=0,1")


def test_a_run_evaluates_the_probe_where_one_is_swept() -> None:
    sweep = SweepConfig(sweep=SweepSettings(axes=("method=probe,lora", "train_rows=20,all")), methods=("lora",))
    assert sweep.run_config(cells_of(sweep)).methods == ("probe", "lora")
    joined = replace(sweep, methods=("lora", "probe", "combined")).run_config(cells_of(sweep)).methods
    assert joined == ("probe", "lora", "combined")


def test_a_seed_is_of_the_trial_and_not_of_its_settings() -> None:
    one, other = cells("seed=1,2")
    assert (one.seed, other.seed) == (1, 2)
    assert one.settings == other.settings == BASE
    assert one.without_seed == other.without_seed


def test_more_values_keep_the_cells_that_were_there() -> None:
    assert set(cells("kl_decay=0,1")) < set(cells("kl_decay=0,0.5,1"))


def test_more_samples_add_to_fewer() -> None:
    whole = cells("kl_decay=0,0.1,0.5,1,2", "steps=10,20,40")
    few, more = sample(whole, 4, 7), sample(whole, 9, 7)
    assert len(set(few)) == 4
    assert set(few) < set(more) < set(whole)
    assert sample(whole, 4, 8) != few
    assert sample(whole, 99, 7) == whole


def test_patterns_choose_combos() -> None:
    assert matching_combos(["llama2:*"], COMBOS) == COMBOS[:2]
    assert matching_combos(["*/oe"], COMBOS) == [COMBOS[0], COMBOS[2]]
    assert matching_combos([], COMBOS) == COMBOS
    with pytest.raises(
        ConfigError, match=r"combos: 'llama3:\*' matches no combo of this run; there are llama2:7b/oe, "
    ):
        matching_combos(["*/oe", "llama3:*"], COMBOS)


def swept(**changes: object) -> SweepConfig:
    return SweepConfig(models=("llama2:7b", "mistral:7b"), sweep=SweepSettings(**changes))  # type: ignore[arg-type]


def test_a_sweep_without_an_axis_and_one_of_too_many_trials_do_not_start() -> None:
    with pytest.raises(ConfigError, match=r"axis: nothing is varied; give for example --axis kl_decay=0,0\.5,1"):
        cells_of(swept())
    with pytest.raises(ConfigError, match=r"these are 12 trials of 4 combos, more than --max-trials \(11\); take"):
        cells_of(swept(axes=("kl_decay=0,0.5,1",), max_trials=11))
    assert len(cells_of(swept(axes=("kl_decay=0,0.5,1",), max_trials=12))) == 12
    assert len(cells_of(swept(axes=("kl_decay=0,0.5,1",), max_trials=11, search="random", samples=5))) == 5


@pytest.mark.parametrize(
    ("methods", "tuned"),
    [
        (("probe", "lora_prompt"), {"lora_prompt"}),
        (("lora",), {"lora"}),
        (("lora", "lora_prompt"), {"lora", "lora_prompt"}),
    ],
)
def test_the_methods_of_the_run_are_tuned_where_they_are_no_axis(methods: tuple[str, ...], tuned: set[str]) -> None:
    config = SweepConfig(methods=methods, sweep=SweepSettings(axes=("lr=1e-3,1e-4",)))
    assert {cell.settings.method for cell in cells_of(config)} == tuned
    with pytest.raises(ConfigError, match="methods: a sweep tunes one of lora_prompt and lora; name it by --methods"):
        cells_of(SweepConfig(methods=("probe",), sweep=SweepSettings(axes=("lr=1e-3,1e-4",))))


def test_the_run_of_a_sweep_has_its_combos_and_the_methods_that_it_tunes() -> None:
    config = swept(axes=("method=lora",), combos=("llama2:*/oe",))
    run = config.run_config(cells_of(config))
    assert set(run.skip) == {"llama2:7b/choice", "mistral:7b/oe", "mistral:7b/choice"}
    assert "lora" in run.methods
    assert "lora_prompt" not in run.methods
    assert type(run).__name__ == "PipelineConfig"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": "bayes", "samples": 1}, "search: 'bayes' is unknown; allowed: grid, random, optuna"),
        ({"criterion": "brier"}, "criterion: 'brier' is unknown; allowed: nll, ece, auroc"),
        (
            {"samples": 4},
            "samples: a search other than the grid needs how many, and the grid takes none; "
            "--search random --samples 40",
        ),
        (
            {"search": "random"},
            "samples: a search other than the grid needs how many, and the grid takes none; "
            "--search random --samples 40",
        ),
        ({"max_failed_trials": -1}, "max_failed_trials: -1 is not allowed; at least 0"),
    ],
)
def test_settings_that_are_not_allowed_are_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        SweepSettings(**changes)  # type: ignore[arg-type]
    assert str(raised.value) == said
