from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raycalib.records import QUESTION
from tests.sources.drawn import Drawn, check_counts, write

ROWS: list[dict[str, Any]] = [
    {"paragraph": "The mill burned.", "question": "What burned?", "answer": "The mill", "label": 1},
    {"paragraph": "The mill burned.", "question": "What burned?", "answer": "The barn", "label": 0},
    {"paragraph": "Ola sings.", "question": "Who sings?", "answer": "Ola", "label": 1},
    {"paragraph": "Ola sings.", "question": "Who sings?", "answer": "Ola", "label": 1},
]


@pytest.fixture
def data_root(tmp_path: Path) -> str:
    for split in ("train", "validation"):
        write(tmp_path / "multirc" / f"{split}.jsonl", ROWS)
    return str(tmp_path)


def test_records_follow_the_schema(data_root: str) -> None:
    for style in ("oe", "choice"):
        drawn = Drawn("multirc", style, k_shot=1, data_root=data_root)
        check_counts(drawn)
        table = pa.Table.from_pylist(drawn.rows, schema=QUESTION)
        assert table.num_rows == 8
        assert all(set(row) == set(QUESTION.names) for row in drawn.rows)


def test_a_choice_record(data_root: str) -> None:
    row = Drawn("multirc", "choice", data_root=data_root).rows[0]
    assert (row["source"], row["task"], row["split"]) == ("multirc", "multirc", "train")
    assert (row["target"], row["options"]) == ("b", ["No", "Yes"])
    assert row["context"].startswith("Paragraph:\nThe mill burned.\n\nQ: What burned?")


def test_ids_tell_apart_styles_splits_headers_and_equal_rows(data_root: str) -> None:
    ids = [
        row_id
        for style in ("oe", "choice")
        for k in (0, 1)
        for row_id in Drawn("multirc", style, k_shot=k, eval_k_shot=k, data_root=data_root).ids()
    ]
    assert len(set(ids)) == len(ids) == 32
    assert ids[:8] == Drawn("multirc", "oe", k_shot=0, data_root=data_root).ids()


def test_rows_about_one_paragraph_are_one_group_and_lie_in_one_split(data_root: str) -> None:
    for seed in range(5):
        drawn = Drawn("multirc", seed=seed, data_root=data_root)
        groups = [row["group"] for row in drawn.split("train")]
        assert groups[0] == groups[1] != groups[2] == groups[3]
        validation = {(row["group"], row["split"]) for row in drawn.split("val_select", "val_calibrate")}
        assert len(validation) == 2


def test_without_a_text_to_group_by_each_question_is_its_own_group_in_both_styles(tmp_path: Path) -> None:
    rows = [{"premise": "It rained.", "choice1": one, "choice2": "B", "label": 0} for one in ("A", "C")]
    for split in ("train", "validation"):
        write(tmp_path / "copa" / f"{split}.jsonl", rows)
    groups = [
        [row["group"] for row in Drawn("copa", style, data_root=str(tmp_path)).rows] for style in ("oe", "choice")
    ]
    assert groups[0] == groups[1]
    assert len(set(groups[0])) == 2


def test_a_source_without_validation_rows_deals_from_its_train_rows(tmp_path: Path) -> None:
    rows = [{"text": f"Who is {index} ?", "coarse_label": 3} for index in range(1000)]
    write(tmp_path / "trec" / "train.parquet", rows)
    write(tmp_path / "trec" / "test.parquet", rows[:5])
    drawn = Drawn("trec", data_root=str(tmp_path))
    for split, share in (("train", 0.8), ("val_select", 0.1), ("val_calibrate", 0.1)):
        # Five standard errors of a binomial share.
        assert abs(len(drawn.split(split)) / 1000 - share) < 5 * (share * (1 - share) / 1000) ** 0.5
    assert len(drawn.split("test")) == 5


def test_what_only_evaluates_is_held_out(tmp_path: Path) -> None:
    rows = [{"question": f"{index}?", "choices": ["x", "y"], "answer": 0} for index in range(7)]
    for split in ("dev", "validation", "test"):
        write(tmp_path / "mmlu" / "anatomy" / f"{split}.jsonl", rows)
    drawn = Drawn("mmlu:anatomy", "choice", data_root=str(tmp_path))
    assert [row["split"] for row in drawn.rows] == ["heldout_families"] * 7
    assert all(row["prompt"].count("Answer:") == 5 for row in drawn.rows)  # the paper's number


def test_unlabelled_rows_are_refused_and_not_bad(tmp_path: Path) -> None:
    choices = {"label": ["A", "B"], "text": ["x", "y"]}
    for split, answer in (("train", "A"), ("validation", "B"), ("test", "")):
        write(
            tmp_path / "commonsense_qa" / f"{split}.jsonl", [{"question": "?", "choices": choices, "answerKey": answer}]
        )
    drawn = Drawn("commonsense_qa", data_root=str(tmp_path))
    check_counts(drawn)
    assert (len(drawn.rows), drawn.tally.refused.total(), drawn.tally.bad.total()) == (2, 1, 0)
    exact = Drawn("commonsense_qa", paper_exact=True, data_root=str(tmp_path))
    assert exact.split("test")[0]["target"] == "x"
