"""What is said of labels before tuning, and where tuning is refused. No Ray."""

from pathlib import Path
from typing import Any

import pytest

from raycalib.records import LABELLED, Row
from raycalib.stages.labels.label_check import LabelCheck, combo_check, one_class_line, why_not_tuned
from raycalib.storage import Location
from tests.stages.combos import COMBO, labelled_row, stage

ENOUGH = {"train": [0, 1] * 20, "val_select": [0, 1] * 20, "val_calibrate": [0, 1] * 30, "test": [0] * 5}


def check(tmp_path: Path, **labels: list[int | None]) -> LabelCheck:
    drawn: list[tuple[str, int | None]] = [
        (split, label) for split, of_split in (ENOUGH | labels).items() for label in of_split
    ]
    rows = [labelled_row(number, split, label) for number, (split, label) in enumerate(drawn)]
    return combo_check(COMBO, stage(Location(str(tmp_path)), "labelled", rows, LABELLED))


def test_labels_that_say_enough_are_not_spoken_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(tmp_path)
    assert (found.combo, found.line, found.says_nothing) == ("m oe", "", False)
    assert why_not_tuned(found, is_forced=False) == ""
    assert capsys.readouterr().out == ""


def test_one_class_alone_is_said_with_three_rows_and_stops_what_is_tuned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check(tmp_path, train=[0] * 416)
    reason = why_not_tuned(found, is_forced=False)
    assert reason.startswith("nothing can be learned from the labels of m oe: all 416 training labels are 0")
    assert reason.endswith("--tuning.force-one-class")
    said = capsys.readouterr().out
    assert said.startswith("  m oe: all 416 training labels are 0: check the grader; three of them: question ")
    assert said.count('right answer "Rome", answer "a') == 3
    assert said.count("\n") == 1
    assert why_not_tuned(found, is_forced=True) == ""


@pytest.mark.parametrize(
    ("labels", "line", "stops"),
    [
        ({"val_select": [1] * 7}, "m oe: all 7 labels of val_select are 1: check the grader; three of them: ", True),
        ({"val_calibrate": [0] * 60}, "m oe: all 60 labels of val_calibrate are 0: check the grader; three", False),
        ({"val_calibrate": [0, 1] * 24 + [1]}, "m oe: 49 labels of val_calibrate are fewer than 50, so no", False),
        ({"train": [1] * 90 + [0] * 9}, "m oe: of 99 training labels only 9 are 0 (below 10 of a class", False),
        ({"train": []}, "m oe: there are no training labels: check the grader", True),
        ({"train": [None] * 2}, "m oe: there are no training labels: check the grader; two of them: ", True),
    ],
)
def test_each_split_that_something_is_learned_from(
    tmp_path: Path, labels: dict[str, Any], line: str, stops: bool
) -> None:
    found = check(tmp_path, **labels)
    assert found.line.startswith(line)
    assert found.says_nothing is stops
    if labels == {"train": [None] * 2}:
        assert found.line.count('unscored "no verdict"') == 2


def test_all_splits_of_one_class_are_one_line(tmp_path: Path) -> None:
    line = check(tmp_path, train=[0] * 40, val_select=[0] * 40, val_calibrate=[0] * 60).line
    assert line.startswith(
        "m oe: all 40 training labels are 0; all 40 labels of val_select are 0; all 60 labels of val_calibrate are 0: "
        "check the grader; three of them: "
    )


def test_nothing_to_tune_on_stops_though_forced(tmp_path: Path) -> None:
    assert why_not_tuned(check(tmp_path, val_select=[]), is_forced=True).startswith("nothing can be learned")


def test_texts_of_rows_are_short_and_steer_no_terminal() -> None:
    row = labelled_row(1, "test", 1) | {"context": "\x1b[2J\n" + "long " * 200, "answer": "\u202eback"}
    line = one_class_line([row] * 10)
    assert line.startswith(r'all 10 labels are 1: check the grader; three of them: question "\x1b[2J long long')
    assert r"\u202eback" in line
    assert len(line) < 500


def test_a_file_of_labels_is_spoken_of_from_ten_rows_on() -> None:
    def line(labels: list[int | None]) -> str:
        rows: list[Row] = [labelled_row(number, "test", label) for number, label in enumerate(labels)]
        return one_class_line(rows)

    assert line([1] * 9) == ""
    assert line([0, 1] * 9) == ""
    assert line([0] * 11 + [None]).startswith("all 11 labels are 0")
    assert line([None] * 10).startswith("there are no labels: check the grader; three of them: ")
