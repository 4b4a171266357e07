from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import assign_bins

# A coarse grid beside free floats, so that ties are common.
CONFIDENCES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0.0, 1.0), min_size=1, max_size=40)


def test_equal_width_closes_the_last_bin_only() -> None:
    bins = assign_bins([0.0, 0.24, 0.25, 0.5, 0.75, 1.0], n_bins=4, binning="equal_width")
    assert bins.tolist() == [0, 0, 1, 2, 3, 3]


def test_equal_width_puts_decimal_edges_into_the_upper_bin() -> None:
    assert assign_bins(np.arange(10) / 10, n_bins=10, binning="equal_width").tolist() == list(range(10))


def test_equal_mass_sizes_differ_by_at_most_one() -> None:
    counts = np.bincount(assign_bins(np.linspace(0.0, 1.0, 47), n_bins=15))
    assert counts.sum() == 47
    assert set(counts.tolist()) == {3, 4}


def test_equal_mass_never_separates_equal_confidences() -> None:
    # Sorted positions 1 to 4 hold the tie; its middle, 2.5, lies in the lower half of 6.
    assert assign_bins([0.1, 0.5, 0.5, 0.5, 0.5, 0.9], n_bins=2).tolist() == [0, 0, 0, 0, 0, 1]


def test_equal_mass_of_one_repeated_value_is_one_bin() -> None:
    assert len(set(assign_bins([0.7] * 10, n_bins=5).tolist())) == 1


@pytest.mark.parametrize("binning", ["equal_mass", "equal_width"])
@settings(deadline=None, derandomize=True, max_examples=60)
@given(confidence=CONFIDENCES, n_bins=st.integers(1, 20), seed=st.integers(0, 9))
def test_bins_follow_the_confidence_and_not_the_row_order(
    binning: Any, confidence: list[float], n_bins: int, seed: int
) -> None:
    values = np.array(confidence)
    bins = assign_bins(values, n_bins, binning)
    assert bins.min() >= 0
    assert bins.max() < n_bins
    assert np.bincount(bins, minlength=n_bins).sum() == len(values)
    order = np.argsort(values)
    assert np.all(np.diff(bins[order]) >= 0)
    assert np.all(np.diff(bins[order])[np.diff(values[order]) == 0] == 0)
    shuffled = np.random.default_rng(seed).permutation(len(values))
    assert np.array_equal(assign_bins(values[shuffled], n_bins, binning), bins[shuffled])


def test_refuses_an_unknown_binning_and_no_bins() -> None:
    with pytest.raises(DataError, match="equal_mass"):
        assign_bins([0.5], binning="quantile")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="n_bins"):
        assign_bins([0.5], n_bins=0)
