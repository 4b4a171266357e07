import numpy as np
import pytest
import torch

from raycalib.errors import DataError
from raycalib.tuning import probe as probe_module
from raycalib.tuning.probe import Probe
from tests.tuning.probe_sets import separable


@pytest.fixture
def probe() -> Probe:
    torch.manual_seed(0)
    fresh = Probe(6)
    features, _ = separable(0, 200)
    fresh.mean.copy_(torch.as_tensor(features.mean(axis=0)))
    fresh.scale.copy_(torch.as_tensor(features.std(axis=0)))
    return fresh


def test_shape_of_the_network() -> None:
    weights = [tuple(layer.weight.shape) for layer in Probe(11).layers if isinstance(layer, torch.nn.Linear)]
    assert weights == [(256, 11), (128, 256), (64, 128), (2, 64)]


def test_the_margin_is_the_log_odds(probe: Probe) -> None:
    features, _ = separable(2, 10)
    with torch.no_grad():
        probabilities = probe(torch.as_tensor(features)).double().softmax(dim=-1)[:, 1].numpy()
    margin = probe.margin(features)
    assert margin.dtype == np.float64
    np.testing.assert_allclose(1 / (1 + np.exp(-margin)), probabilities, rtol=1e-9)


def test_margins_of_many_rows_are_those_of_each(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = separable(2, 25)
    whole = probe.margin(features)
    monkeypatch.setattr(probe_module, "MARGIN_ROWS", 10)
    np.testing.assert_allclose(probe.margin(features), whole, rtol=1e-5, atol=1e-6)
    assert probe.margin(features[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_margins_of_other_float_types(probe: Probe, dtype: torch.dtype) -> None:
    rounded = torch.as_tensor(separable(2, 10)[0]).to(dtype)
    expected = probe.margin(rounded.float())
    np.testing.assert_array_equal(probe.margin(rounded), expected)
    if dtype != torch.bfloat16:
        np.testing.assert_array_equal(probe.margin(rounded.numpy()), expected)


@pytest.mark.parametrize("shape", [(3, 5), (3, 7), (6,)])
def test_features_of_another_width_are_refused(probe: Probe, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"probe: features of shape \(.*\); this one reads rows of 6 features"):
        probe.margin(np.zeros(shape, dtype=np.float32))
