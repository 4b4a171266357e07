"""Matrices in memory and in files have the same values, and fits on them the same weights."""

from pathlib import Path
import tempfile

import numpy as np
import pytest
import torch

from raycalib.errors import DataError, StorageError
from raycalib.tuning import feature_store, probe_fit
from raycalib.tuning.feature_store import FeatureStore, empty_rows
from raycalib.tuning.probe_data import prepare_probe_data
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from tests.tuning.probe_sets import separable

SETTINGS = ProbeSettings(steps=30, batch_size=16, eval_every=5)


def mapped_bytes() -> int:
    """Of the temporary files that this process has mapped."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("(deleted)") and tempfile.gettempdir() in line:
            first, last = (int(number, 16) for number in line.split()[0].split("-"))
            total += last - first
    return total


@pytest.fixture(params=["memory", "file", "memory, then file"])
def bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(
        feature_store, "MOST_IN_MEMORY", {"memory": 2**20, "file": 0, "memory, then file": 4 * 8 * 10}[request.param]
    )
    return str(request.param)


def test_rows_come_back_in_order(bound: str) -> None:
    expected = np.arange(8 * 25, dtype=np.float32).reshape(25, 8)
    store = FeatureStore()
    for start, end in ((0, 3), (3, 3), (3, 10), (10, 11), (11, 25)):
        store.add(expected[start:end])
    before = mapped_bytes()
    found = store.matrix()
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert (mapped_bytes() > before) is (bound != "memory")
    del found, store
    assert mapped_bytes() == before


def test_without_rows_there_is_a_matrix_without_width(bound: str) -> None:
    assert FeatureStore().matrix().shape == (0, 0)


def test_rows_of_two_widths_are_refused(bound: str) -> None:
    store = FeatureStore()
    store.add(np.zeros((2, 8), dtype=np.float32))
    with pytest.raises(DataError, match="features of 7 numbers stand behind features of 8"):
        store.add(np.zeros((2, 7), dtype=np.float32))


def test_values_stay_where_their_memory_is_let_go(bound: str) -> None:
    rows = empty_rows((25, 8))
    rows.array[:] = np.arange(200).reshape(25, 8)
    rows.release()
    np.testing.assert_array_equal(rows.array.ravel(), np.arange(200))


def test_no_room_for_a_file_is_a_storage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(feature_store, "MOST_IN_MEMORY", 0)
    with pytest.raises(StorageError, match=r"features of .* GiB need a temporary file in .*TMPDIR"):
        empty_rows((2**30, 2**20))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("wb", buffering=0))  # noqa: SIM115
    with pytest.raises(StorageError, match=r"No space left on device; make room there"):
        FeatureStore().add(np.zeros((2, 8), dtype=np.float32))


def test_a_probe_fitted_on_files_is_the_one_fitted_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit."""
    sets = (*separable(0, 3000), *separable(1, 500))
    in_memory, before = fit_probe(*sets, SETTINGS, 3), mapped_bytes()
    monkeypatch.setattr(feature_store, "MOST_IN_MEMORY", 0)
    data = prepare_probe_data(*sets)
    assert mapped_bytes() - before >= 4 * 6 * 3500
    data.release()
    assert float(data.x.mean()) == pytest.approx(0, abs=1e-4)
    del data
    in_files = fit_probe(*sets, SETTINGS, 3)
    assert in_files.history == in_memory.history
    for name, value in in_memory.probe.state_dict().items():
        assert torch.equal(value, in_files.probe.state_dict()[name])


def test_what_a_fit_is_given_stays_as_it_was(bound: str) -> None:
    features, labels = separable(0, 30)
    before = features.copy()
    prepare_probe_data(features, labels, features, labels)
    np.testing.assert_array_equal(features, before)


def test_many_validation_rows_are_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = (*separable(0, 300), *separable(1, 500))
    whole = fit_probe(*sets, SETTINGS, 3)
    monkeypatch.setattr(probe_fit, "EVALUATED_ROWS", 64)
    pieces = fit_probe(*sets, SETTINGS, 3)
    assert [nll for _, nll in pieces.history] == pytest.approx([nll for _, nll in whole.history], rel=1e-5)
