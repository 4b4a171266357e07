"""The choice among trials: by hand for a few, by scikit-learn for what a trial says."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, roc_auc_score

from raycalib.sweeps.cells import Cell
from raycalib.sweeps.selection import choose, chosen, not_compared
from raycalib.sweeps.trials import Trial, judged
from raycalib.tuning.settings import TuningSettings


def cell(seed: int = 1, combo: str = "m/oe", **settings: Any) -> Cell:
    made = TuningSettings(**settings)
    return Cell(combo, tuple(settings.items()), made, seed)


def trial(losses: list[float], seed: int = 1, combo: str = "m/oe", **settings: Any) -> Trial:
    return Trial(
        cell=cell(seed, combo, **settings),
        key=f"{combo}-{settings}-{seed}",
        place="",
        nll=float(np.mean(losses)),
        ece=float(max(losses)),
        auroc=1 - float(min(losses)),
        rows=tuple(f"r{place}" for place in range(len(losses))),
        losses=np.array(losses),
    )


def test_the_least_nll_wins_where_it_is_clearly_less() -> None:
    good, bad = trial([0.1, 0.2, 0.3], steps=50), trial([0.5, 0.6, 0.7], steps=10)
    assert choose([bad, good]) is good


def test_within_one_standard_error_of_the_difference_the_simpler_one_wins() -> None:
    # differences 0.1, -0.1, 0.09: mean 0.03, standard error 0.0651
    best, simple = trial([0.5, 0.5, 0.5], steps=50), trial([0.6, 0.4, 0.59], steps=10)
    assert choose([best, simple]) is simple
    # differences 0.05, 0.04, 0.06: mean 0.05, standard error 0.0058
    clear = trial([0.55, 0.54, 0.56], steps=10)
    assert choose([best, clear]) is best


@pytest.mark.parametrize(
    ("simple", "other"),
    [
        ({"steps": 10, "train_rows": 0}, {"steps": 20, "train_rows": 5}),
        ({"train_rows": 5}, {"train_rows": 0}),
        ({"lr": 1e-4, "kl_decay": 0.0}, {"lr": 1e-3, "kl_decay": 2.0}),
        ({"kl_decay": 2.0}, {"kl_decay": 0.5}),
    ],
)
def test_simpler_is_less_training_and_then_nearer_to_the_base_model(
    simple: dict[str, Any], other: dict[str, Any]
) -> None:
    losses = [0.5, 0.4, 0.6]
    for trials in (
        [trial(losses, **simple), trial(losses, **other)],
        [trial(losses, **other), trial(losses, **simple)],
    ):
        found = choose(trials)
        assert found is not None
        assert dict(found.cell.values) == simple


def test_failed_trials_are_not_chosen_and_a_cell_of_which_a_repeat_failed_is_not_compared() -> None:
    failed = replace(trial([0.0, 0.0], seed=2, steps=5), nll=None, reason="not finite", losses=np.empty(0))
    lucky, other = trial([0.0, 0.0], seed=1, steps=5), trial([0.5, 0.6], steps=10)
    assert choose([failed]) is None
    assert choose([lucky, failed, other]) is other


def test_repeats_count_by_their_mean() -> None:
    lucky, unlucky = trial([0.1, 0.1], seed=1, steps=5), trial([0.9, 0.9], seed=2, steps=5)
    steady = [trial([0.3, 0.3], seed=seed, steps=9) for seed in (1, 2)]
    assert choose([lucky, unlucky, *steady]) is steady[0]


def test_rows_are_paired_by_their_ids_where_a_seed_left_some_out() -> None:
    best = [trial([0.5, 0.5, 0.5], seed=seed, steps=50) for seed in (1, 2)]
    other = replace(trial([0.59, 0.4], steps=10, seed=2), rows=("r2", "r1"))
    whole = trial([0.6, 0.4, 0.59], steps=10, seed=1)
    assert choose([*best, whole, other]) is whole  # of r1 and r2: -0.1 and 0.09


def test_a_cell_of_which_one_seed_failed_is_named() -> None:
    done, failed = trial([0.5], seed=1, steps=5), replace(trial([0.5], seed=2, steps=5), nll=None, reason="no")
    assert not_compared([done, failed, trial([0.5], steps=7)]) == ["m/oe steps=5"]
    assert not_compared([done]) == []


def test_other_criteria_have_no_ties() -> None:
    calm, ranks = trial([0.3, 0.3], steps=50), trial([0.2, 0.9], steps=10)
    assert choose([calm, ranks], "ece") is calm
    assert choose([calm, ranks], "auroc") is ranks


def test_each_combo_and_method_has_one() -> None:
    trials = [
        trial([0.5, 0.6], combo=combo, method=method, steps=steps)
        for combo in ("a/oe", "b/oe")
        for method in ("lora_prompt", "lora")
        for steps in (5, 10)
    ]
    found = chosen(trials)
    assert [(each.cell.combo, each.cell.settings.method) for each in found] == [
        ("a/oe", "lora_prompt"), ("a/oe", "lora"), ("b/oe", "lora_prompt"), ("b/oe", "lora"),
    ]  # fmt: skip
    assert {each.cell.settings.steps for each in found} == {5}


@given(st.integers(0, 10_000))
def test_what_a_trial_says_is_what_scikit_learn_says(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = np.r_[0, 1, draw.integers(0, 2, 60)]
    margins = draw.normal(size=62) * 3 + labels
    found = judged(cell(), "k", "place", 3, [f"r{place}" for place in range(62)], margins, labels)

    def nll(log_t: float) -> float:
        return float(log_loss(labels, 1 / (1 + np.exp(-margins / np.exp(log_t))), labels=[0, 1]))

    expected = minimize_scalar(nll, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9})
    assert found.nll == pytest.approx(expected.fun, abs=1e-6)
    assert found.auroc == pytest.approx(roc_auc_score(labels, margins))
    assert found.nll_se == pytest.approx(np.std(found.losses, ddof=1) / np.sqrt(62))
    assert (found.n, found.best_step, found.state) == (62, 3, "finished")
