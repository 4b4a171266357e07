import math

import numpy as np
from numpy.typing import NDArray
import pytest
import torch

from raycalib.errors import DataError
from raycalib.metrics import auroc
from raycalib.tuning.probe import Probe, fit_probe
from raycalib.tuning.settings import ProbeSettings

SETTINGS = ProbeSettings(steps=60, batch_size=32, lr=3e-3, eval_every=20)
Set = tuple[NDArray[np.float32], NDArray[np.int64]]


def separable(seed: int, n: int) -> Set:
    """Features of very different scales; the label is the sign of a direction through two of them."""
    generator = np.random.default_rng(seed)
    features = generator.normal(0, 1, (n, 6))
    labels = (features[:, 0] + features[:, 3] > 0).astype(np.int64)
    scaled = features * np.array([100, 1, 1, 0.01, 1, 1]) + np.array([50, 0, 0, 3, 0, 0])
    return scaled.astype(np.float32), labels


def fit(settings: ProbeSettings = SETTINGS, seed: int = 0, train: Set | None = None) -> tuple[Probe, object]:
    fitted = fit_probe(*(train or separable(0, 300)), *separable(1, 100), settings, seed)
    return fitted.probe, fitted


def test_learns_a_separable_set() -> None:
    probe, _ = fit()
    features, labels = separable(2, 300)
    margin = probe.margin(features)
    assert auroc(labels, margin) > 0.97
    assert np.mean((margin > 0) == labels) > 0.9


def test_reproducible_by_seed_whatever_was_drawn_before() -> None:
    features, _ = separable(2, 20)
    torch.manual_seed(1)
    first = fit(seed=5)[0].margin(features)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again = fit(seed=5)[0].margin(features)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, fit(seed=6)[0].margin(features))


def test_the_step_with_the_least_validation_nll_is_kept() -> None:
    train, val = separable(0, 40), separable(1, 100)
    settings = ProbeSettings(steps=200, batch_size=32, lr=3e-2, eval_every=10)
    fitted = fit_probe(*train, *val, settings, seed=0)
    best_step, best_nll = min(fitted.history, key=lambda pair: pair[1])
    assert fitted.best_step == best_step
    assert best_step < 200  # it overfits 40 rows, so the last step is not the best
    margin = fitted.probe.margin(val[0])
    nll = float(np.mean(np.logaddexp(0, margin) - val[1] * margin))
    assert nll == pytest.approx(best_nll, rel=1e-5)


@pytest.mark.parametrize(("steps", "every", "taken"), [(50, 20, [20, 40, 50]), (40, 20, [20, 40]), (3, 10, [3])])
def test_validation_is_taken_every_so_many_steps_and_at_the_end(steps: int, every: int, taken: list[int]) -> None:
    fitted = fit_probe(*separable(0, 50), *separable(1, 20), ProbeSettings(steps=steps, eval_every=every), seed=0)
    assert [step for step, _ in fitted.history] == taken


def test_features_are_standardized_by_the_training_set() -> None:
    train = separable(0, 300)
    probe, _ = fit(train=train)
    np.testing.assert_allclose(probe.mean.numpy(), train[0].mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probe.scale.numpy(), train[0].std(axis=0, ddof=1), rtol=1e-4)


def test_a_constant_feature_and_a_single_row_do_no_harm() -> None:
    features, labels = separable(0, 50)
    features[:, 1] = 7
    for n in (50, 1):
        fitted = fit_probe(features[:n], labels[:n], features, labels, ProbeSettings(steps=5), seed=0)
        assert np.isfinite(fitted.probe.margin(features)).all()


def test_the_margin_is_the_log_odds() -> None:
    probe, _ = fit()
    features, _ = separable(2, 10)
    with torch.no_grad():
        probabilities = probe(torch.as_tensor(features)).double().softmax(dim=-1)[:, 1].numpy()
    margin = probe.margin(features)
    assert margin.dtype == np.float64
    np.testing.assert_allclose(1 / (1 + np.exp(-margin)), probabilities, rtol=1e-9)


def test_shape_of_the_network() -> None:
    weights = [tuple(layer.weight.shape) for layer in Probe(11).layers if isinstance(layer, torch.nn.Linear)]
    assert weights == [(256, 11), (128, 256), (64, 128), (2, 64)]


def test_a_fresh_probe_knows_little() -> None:
    fitted = fit_probe(*separable(0, 50), *separable(1, 100), ProbeSettings(steps=1, lr=1e-9), seed=0)
    assert fitted.history[0][1] == pytest.approx(math.log(2), abs=0.05)


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0)])
def test_an_empty_set_is_refused(n: int, m: int) -> None:
    with pytest.raises(DataError, match=f"probe: {n} training and {m} validation rows; needs both"):
        fit_probe(*separable(0, n), *separable(1, m), SETTINGS, seed=0)
