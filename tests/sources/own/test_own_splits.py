from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.sources import SourceSettings, check_source
from raycalib.sources.dealing import TRAIN_SHARES
from tests.sources.drawn import ENDINGS, Drawn, write


def rows(*splits: str | None, n: int = 100) -> list[dict[str, Any]]:
    return [{"question": f"{split} {index}?", "answer": "x", "split": split} for split in splits for index in range(n)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_train_rows_validate_where_no_row_does(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", rows("train", "test", n=500))
    check_source(SourceSettings(name=f"file:{path}"), ["oe"], 0)
    drawn = Drawn(f"file:{path}")
    assert len(drawn.split("test")) == 500
    for split, share in TRAIN_SHARES:
        # Five standard errors of a binomial share.
        assert abs(len(drawn.split(split)) / 500 - share) < 5 * (share * (1 - share) / 500) ** 0.5
    assert all("train" in row["context"] for row in drawn.split("train", "val_select", "val_calibrate"))


@pytest.mark.parametrize("name", ["validation", "dev", "val", "valid", "Validation", " dev "])
def test_validation_has_the_names_that_datasets_give_it(tmp_path: Path, name: str) -> None:
    drawn = Drawn(f"file:{write(tmp_path / 'mine.csv', rows('train', name, 'test'))}")
    assert not drawn.refused
    assert len(drawn.split("train")) == len(drawn.split("test")) == 100
    validating = drawn.split("val_select", "val_calibrate")
    assert len(validating) == 100
    assert all(name in row["context"] for row in validating)


@pytest.mark.parametrize("other", ["val_select", "val_calibrate", "dev", None])
def test_train_rows_stay_where_others_validate(tmp_path: Path, other: str | None) -> None:
    drawn = Drawn(f"file:{write(tmp_path / 'mine.jsonl', rows('train', 'test', other))}")
    assert sum("train" in row["context"] for row in drawn.split("train")) == 100


def test_a_file_of_train_rows_alone_stays_one(tmp_path: Path) -> None:
    """Another part of the source may validate."""
    drawn = Drawn(f"file:{write(tmp_path / 'mine.jsonl', rows('train'))}")
    assert len(drawn.split("train")) == 100


def test_a_column_that_is_no_split_is_left_out_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", rows("easy", "hard", n=200))
    with pytest.raises(
        DataError, match=r"'split' is 'easy', which is unknown; .* give split_column another name, or 'n"
    ):
        check_source(SourceSettings(name=f"file:{path}"), ["oe"], 0)
    drawn = Drawn(f"file:{path}", split_column="none")
    assert (len(drawn.rows), drawn.refused) == (400, [])
    assert drawn.split("val_select")


def test_a_column_of_splits_means_nothing_where_the_rows_have_splits(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write(tmp_path / "org" / "name" / f"{split}.parquet", rows("easy", "train", n=20))
    drawn = Drawn("hub:org/name", data_root=str(tmp_path))
    assert (len(drawn.rows), drawn.refused) == (120, [])
    assert len(drawn.split("test")) == 40
