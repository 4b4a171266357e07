"""Asking for more training rows than have a label is asking for all of them."""

from pathlib import Path

import pytest

from raycalib.steps.training_rows import n_train_rows, train_rows_within
from raycalib.storage import Location
from tests.stages.combos import labelled_row, set_rows


@pytest.mark.parametrize(("wanted", "named"), [(0, 0), (1, 1), (2, 2), (3, 0), (4, 0), (5000, 0)])
def test_only_fewer_rows_than_have_a_label_name_another_trial(tmp_path: Path, wanted: int, named: int) -> None:
    rows = [labelled_row(number, "train", number % 2) for number in range(3)]
    rows += [labelled_row(3, "train", None), labelled_row(4, "val_select", 1), labelled_row(5, "val_calibrate", 0)]
    labelled = set_rows(Location(str(tmp_path)), "training", rows).labelled
    assert n_train_rows(labelled, "oe") == 3
    assert n_train_rows(labelled, "choice") == 0
    assert train_rows_within(wanted, labelled, "oe") == named
