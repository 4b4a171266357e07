import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.metrics import auroc
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_fit import ProbeFit, fit_probe
from raycalib.tuning.settings import ProbeSettings
from tests.tuning.probe_sets import Set, separable

SETTINGS = ProbeSettings(steps=60, batch_size=32, lr=3e-3, eval_every=20)


def fit(settings: ProbeSettings = SETTINGS, seed: int = 0, train: Set | None = None) -> ProbeFit:
    return fit_probe(*(train or separable(0, 300)), *separable(1, 100), settings, seed)


def weights(probe: Probe) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in probe.parameters()])


def plain_fit(train: Set, settings: ProbeSettings, seed: int) -> Probe:
    """The last step of a loop that standardizes each batch, with AdamW written out."""
    x, y = torch.tensor(train[0]), torch.tensor(train[1])
    torch.manual_seed(seed)
    probe = Probe(x.shape[1])
    probe.mean.copy_(x.mean(dim=0))
    probe.scale.copy_(x.std(dim=0))
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(len(x)) for _ in range(settings.steps)])
    moments = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in probe.named_parameters()}
    for step in range(settings.steps):
        rows = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        lr = settings.lr * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        loss = functional.cross_entropy(probe(x[rows]), y[rows])
        gradients = torch.autograd.grad(loss, list(probe.parameters()))
        with torch.no_grad():
            for (name, weight), gradient in zip(probe.named_parameters(), gradients, strict=True):
                first, second = moments[name]
                first.mul_(0.9).add_(0.1 * gradient)
                second.mul_(0.999).add_(0.001 * gradient**2)
                corrected = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
                weight.mul_(1 - lr * settings.weight_decay).sub_(lr * corrected[0] / (corrected[1].sqrt() + 1e-8))
    return probe


@pytest.mark.parametrize("seed", [0, 1])
def test_the_weights_are_those_of_a_plain_loop(seed: int) -> None:
    generator = np.random.default_rng(seed)
    features = (generator.normal(0, 1, (200, 48)) * generator.uniform(0.1, 10, 48) + 3).astype(np.float32)
    train = features, (features[:, 0] > 3).astype(np.int64)
    settings = ProbeSettings(steps=50, batch_size=32, lr=3e-4, weight_decay=0.1, eval_every=50)  # crosses passes
    fitted = fit_probe(*train, *train, settings, seed)
    assert fitted.best_step == 50
    torch.testing.assert_close(weights(fitted.probe), weights(plain_fit(train, settings, seed)), rtol=0, atol=1e-5)


def test_learns_a_separable_set() -> None:
    features, labels = separable(2, 300)
    margin = fit().probe.margin(features)
    assert auroc(labels, margin) > 0.97
    assert np.mean((margin > 0) == labels) > 0.9


def test_the_same_again_to_the_last_bit_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = fit(seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again = fit(seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(first.probe), weights(again.probe))
    assert first.history == again.history
    assert not torch.equal(weights(first.probe), weights(fit(seed=6).probe))


def test_memory_maps_give_what_arrays_give(tmp_path: Path) -> None:
    features, labels = separable(0, 300)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert torch.equal(weights(fit(train=(mapped, labels)).probe), weights(fit(train=(features, labels)).probe))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_fitted_as_they_are_rounded(dtype: torch.dtype) -> None:
    features, labels = separable(0, 300)
    rounded = torch.as_tensor(features).to(dtype)
    fitted = fit_probe(rounded, labels, *separable(1, 100), SETTINGS, seed=0)
    same = fit(train=(rounded.float().numpy(), labels))
    assert torch.equal(weights(fitted.probe), weights(same.probe))


def test_the_step_with_the_least_validation_nll_is_kept() -> None:
    train, val = separable(0, 40), separable(1, 100)
    settings = ProbeSettings(steps=200, batch_size=32, lr=3e-2, eval_every=10)
    fitted = fit_probe(*train, *val, settings, seed=0)
    best_step, best_nll = min(fitted.history, key=lambda pair: pair[1])
    assert fitted.best_step == best_step
    assert fitted.best_nll == best_nll
    assert best_step < 200  # it overfits 40 rows, so the last step is not the best
    margin = fitted.probe.margin(val[0])
    nll = float(np.mean(np.logaddexp(0, margin) - val[1] * margin))
    assert nll == pytest.approx(best_nll, rel=1e-5)


@pytest.mark.parametrize(("steps", "every", "taken"), [(50, 20, [20, 40, 50]), (40, 20, [20, 40]), (3, 10, [3])])
def test_validation_is_taken_every_so_many_steps_and_at_the_end(steps: int, every: int, taken: list[int]) -> None:
    fitted = fit_probe(*separable(0, 50), *separable(1, 20), ProbeSettings(steps=steps, eval_every=every), seed=0)
    assert [step for step, _ in fitted.history] == taken


def test_the_probe_standardizes_new_features_as_the_training_set() -> None:
    train = separable(0, 300)
    probe = fit(train=train).probe
    np.testing.assert_allclose(probe.mean.numpy(), train[0].mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probe.scale.numpy(), train[0].std(axis=0, ddof=1), rtol=1e-4)


def test_a_constant_feature_and_a_single_row_do_no_harm() -> None:
    features, labels = separable(0, 50)
    features[:, 1] = 7
    for n in (50, 1):
        fitted = fit_probe(features[:n], labels[:n], features, labels, ProbeSettings(steps=5), seed=0)
        assert np.isfinite(fitted.probe.margin(features)).all()


def test_a_fresh_probe_knows_little() -> None:
    fitted = fit_probe(*separable(0, 50), *separable(1, 100), ProbeSettings(steps=1, lr=1e-9), seed=0)
    assert fitted.history[0][1] == pytest.approx(math.log(2), abs=0.05)


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="probe: 0 training and 5 validation rows; needs both"):
        fit_probe(*separable(0, 0), *separable(1, 5), SETTINGS, seed=0)


@pytest.mark.parametrize("eval_every", [1, 50])
def test_a_loss_that_is_not_finite_names_its_step(eval_every: int) -> None:
    settings = ProbeSettings(steps=20, lr=1e38, eval_every=eval_every)  # weights overflow in the first step
    name = "validation NLL of step 1" if eval_every == 1 else "loss of step 2"
    with pytest.raises(LossNotFiniteError, match=rf"probe: the {name} is not finite at probe.lr 1e\+38; lower it"):
        fit(settings)
