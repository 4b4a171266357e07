import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.tuning.probe_data import prepare_probe_data
from tests.tuning.probe_sets import separable


def test_both_sets_are_standardized_by_the_training_set() -> None:
    (features, labels), (val_features, val_labels) = separable(0, 3000), separable(1, 50)
    data = prepare_probe_data(features, labels, val_features, val_labels)
    exact = features.astype(np.float64)
    mean, scale = exact.mean(axis=0), exact.std(axis=0, ddof=1)
    np.testing.assert_allclose(data.mean.numpy(), mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(data.scale.numpy(), scale, rtol=1e-6)
    np.testing.assert_allclose(data.x.numpy(), (exact - mean) / scale, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(data.val_x.numpy(), (val_features - mean) / scale, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(data.y.numpy(), labels)
    np.testing.assert_array_equal(data.val_y.numpy(), val_labels)


def test_what_was_given_stays_as_it_was() -> None:
    features, labels = separable(0, 30)
    before = features.copy()
    prepare_probe_data(features, labels, features, labels)
    np.testing.assert_array_equal(features, before)


def test_a_constant_feature_becomes_zero() -> None:
    features, labels = separable(0, 20_000)
    features[:, 1] = 0.1  # not a float32: a float32 mean of 20,000 of them is off by more than the least scale allows
    data = prepare_probe_data(features, labels, features[:10], labels[:10])
    assert not data.x[:, 1].any()
    assert not data.val_x[:, 1].any()


def test_a_single_row_is_its_own_mean() -> None:
    features, labels = separable(0, 1)
    data = prepare_probe_data(features, labels, features, labels)
    assert not data.x.any()
    assert data.scale.tolist() == [1.0] * 6


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0)])
def test_an_empty_set_is_refused(n: int, m: int) -> None:
    with pytest.raises(DataError, match=f"probe: {n} training and {m} validation rows; needs both"):
        prepare_probe_data(*separable(0, n), *separable(1, m))


@pytest.mark.parametrize("in_training", [True, False])
def test_rows_with_nan_are_counted(in_training: bool) -> None:
    good, labels = separable(0, 40)
    bad = good.copy()
    bad[[3, 7, 8], 2] = np.nan
    sets = (bad, labels, good, labels) if in_training else (good, labels, bad, labels)
    name = "training" if in_training else "validation"
    with pytest.raises(DataError, match=rf"probe: 3 of 40 {name} rows .* \(the first is row 3\)"):
        prepare_probe_data(*sets)


def test_shapes_that_do_not_fit_are_refused() -> None:
    features, labels = separable(0, 20)
    with pytest.raises(DataError, match=r"validation features of shape \(20, 6\) and 19 labels"):
        prepare_probe_data(features, labels, features, labels[:-1])
    with pytest.raises(DataError, match=r"training features of shape \(20,\) and 20 labels"):
        prepare_probe_data(features[:, 0], labels, features, labels)
    with pytest.raises(DataError, match="training features have 6 columns and validation features 5"):
        prepare_probe_data(features, labels, features[:, :5], labels)


def test_labels_without_a_verdict_are_refused() -> None:
    features, labels = separable(0, 20)
    with pytest.raises(DataError, match=r"probe: training labels: expected only 0 and 1, got -1 \(1 such rows\)"):
        prepare_probe_data(features, np.append(labels[:-1], -1), features, labels)
