"""Which sets a run has, and what is drawn of each. No model, no Ray."""

from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.sources import (
    DrawTally,
    QuestionSet,
    RefusedRow,
    SourceSettings,
    calibration_set,
    draw_questions,
    draw_set,
    evaluation_sets,
    training_set,
)
from raycalib.sources.facts.splits import SPLITS
from tests.sources.drawn import write

FACTS = SourceSettings(limits={"train": 9, "val_select": 4, "val_calibrate": 5, "test": 7, "heldout_families": 3})


def drawn(question_set: QuestionSet, style: str = "oe") -> list[dict[str, Any]]:
    rows = draw_set(question_set, style, 137, DrawTally())
    return [row for row in rows if not isinstance(row, RefusedRow)]


def names(source: SourceSettings, *named: str) -> list[str]:
    return [each.name for each in evaluation_sets(source, named)]


def test_the_datasets_own_sets_come_first_unless_one_of_them_is_named() -> None:
    assert names(FACTS) == ["test", "heldout_families"]
    assert names(FACTS, "mmlu", "arc:5") == ["test", "heldout_families", "mmlu", "arc"]
    assert names(FACTS, "mmlu", "test:2") == ["mmlu", "test"]
    (few,) = evaluation_sets(FACTS, ["test:2"])
    assert few.source.limits["test"] == 2
    (fewer,) = evaluation_sets(FACTS, ["test:20"])
    assert fewer.source.limits["test"] == 7


def test_sets_are_named_by_what_they_hold(tmp_path: Path) -> None:
    found = names(
        FACTS, "mmlu_pro:9", "mmlu:anatomy", f"file:{tmp_path}/who knows.csv", "hub:me/mine", "file:a/test.jsonl"
    )
    assert found[2:] == ["mmlu_pro", "mmlu:anatomy", "who knows", "mine", "eval-test"]
    assert [each.slug for each in evaluation_sets(FACTS, ["mmlu:anatomy"])][-1] == "mmlu-anatomy"


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        (["mml"], "eval: 'mml' is unknown; allowed: .*also test, heldout_families, mmlu, mmlu_pro"),
        (["arc", "arc:3"], "eval: arc is named twice"),
        (["file:a/x.csv", "file:b/x.csv"], "eval: x is named twice"),
        (["test:0"], "test:0 takes no rows"),
        (["arc:0"], "arc:0 takes no rows"),
        (["arc+boolq"], "joins several sources"),
    ],
)
def test_names_that_are_none(named: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        evaluation_sets(FACTS, named)


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_the_sets_together_are_what_a_source_gives_row_by_row(style: str, tmp_path: Path) -> None:
    own = [{"question": f"{n}?", "answer": "x", "options": ["x", "y"], "split": SPLITS[n % 5]} for n in range(60)]
    path = write(tmp_path / "mine.jsonl", own)
    limits = {"train": 7, "test": 5}
    for source in (
        FACTS,
        SourceSettings(name=f"file:{path}"),
        SourceSettings(name=f"file:{path}+facts:8", limits=limits),
    ):
        whole = [row for row in draw_questions(source, [style], 137) if not isinstance(row, RefusedRow)]
        sets = [training_set(source), *evaluation_sets(source, [])]
        for each in sets:
            assert drawn(each, style) == [row for row in whole if row["split"] in each.splits]
        assert sum(len(drawn(each, style)) for each in sets) == len(whole)


def test_a_calibration_set_is_the_training_sets_part() -> None:
    assert drawn(calibration_set(FACTS)) == [
        row for row in drawn(training_set(FACTS)) if row["split"] == "val_calibrate"
    ]


def test_all_rows_of_a_set_from_elsewhere_bear_its_name(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "x"} for n in range(9)]
    (found,) = evaluation_sets(FACTS, [f"file:{write(tmp_path / 'mine.jsonl', rows)}:6"], with_own=False)
    questions = drawn(found)
    assert {row["split"] for row in questions} == {"mine"}
    assert len({row["row_id"] for row in questions}) == 6
    (whole,) = evaluation_sets(FACTS, [f"file:{tmp_path / 'mine.jsonl'}"], with_own=False)
    assert len(drawn(whole)) == 9
    assert drawn(whole, "choice") == []
    (facts,) = evaluation_sets(SourceSettings(name=f"file:{tmp_path / 'mine.jsonl'}"), ["facts:4"], with_own=False)
    assert [row["split"] for row in drawn(facts)] == ["facts"] * 4


def test_of_a_file_that_names_its_test_rows_these_alone_are_evaluated_on(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "x", "split": ("train", "test", "val")[n % 3]} for n in range(9)]
    (found,) = evaluation_sets(FACTS, [f"file:{write(tmp_path / 'mine.csv', rows)}"], with_own=False)
    assert [row["context"] for row in drawn(found)] == [f"Question: {n}?" for n in (1, 4, 7)]


def test_rows_of_other_splits_count_as_read_so_that_a_small_set_is_not_refused_for_few_bad_rows(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "x", "split": "test" if n < 5 else SPLITS[n % 3]} for n in range(400)]
    path = write(tmp_path / "mine.jsonl", [*rows, {"question": "", "answer": "x", "split": "train"}])
    tally = DrawTally()
    (own,) = [each for each in evaluation_sets(SourceSettings(name=f"file:{path}"), []) if each.name == "test"]
    found = list(draw_set(own, "oe", 137, tally))
    assert (tally.read.total(), tally.drawn.total(), tally.refused.total(), tally.left_out.total()) == (401, 5, 1, 395)
    assert len(found) == 6
