"""Rows that share an id keep what is theirs: parked and done again, shuffled, or in a batch that fails. No Ray."""

from collections.abc import Sequence
from pathlib import Path
import random
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from raycalib.judging import Grade
from raycalib.records import ANSWER, LABELLED, Row
from raycalib.stages.given.answer_files import open_answers
from raycalib.stages.pools.parked import PARKED_NAME, settled_rows
from raycalib.stages.pools.shard_map import ShardMap, ShardTarget
from raycalib.stages.workers.labels import BY_STRING, label_by_string
from raycalib.stages.workers.queries import TunedQueryWorker
from raycalib.stages.workers.rows import all_or_each
from raycalib.storage import Location, find_shards, read_shard, write_shard
from tests.stages.answers import answer


class UnsureWorker:
    """Compares strings, and leaves about half of the rows to a later run."""

    def __init__(self, seed: int) -> None:
        self.drawn = random.Random(seed)

    def process(self, rows: list[Row]) -> list[Row]:
        return [self._later(row) if self.drawn.random() < 0.5 else label_by_string(row, "exact") for row in rows]

    def _later(self, row: Row) -> Row:
        return row | Grade(None, "later")._asdict() | BY_STRING | {"grader": "exact", "retryable": True}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["q1", "q2", "q3"]), st.sampled_from(["Rome", "Lima"]), st.sampled_from(["Rome", "Oslo"])
    ),
    min_size=1,
    max_size=8,
)


@given(drawn=ROWS, seed=st.integers(0, 999))
@settings(max_examples=60)
def test_labels_of_rows_with_one_id_are_their_own_over_any_number_of_runs(drawn: list[Any], seed: int) -> None:
    rows = [answer(*row) for row in drawn]
    random.Random(seed).shuffle(rows)
    with tempfile.TemporaryDirectory() as directory:
        place, target = Location(f"{directory}/in"), Location(f"{directory}/out")
        name = write_shard(place, 0, rows, ANSWER)
        for run in range(40):
            mapped = ShardMap(UnsureWorker, seed + run, [ShardTarget(place, target, LABELLED)])
            status = mapped({"work": [0], "shard": [0], "name": [name]})
            assert status["rows"] == [len(rows)]
            if shards := find_shards(target):
                break
        labelled = read_shard(target, shards[0])
    assert [(row["row_id"], row["answer"]) for row in labelled] == [(row["row_id"], row["answer"]) for row in rows]
    assert [row["query_label"] for row in labelled] == [int(row["answer"] == row["target"]) for row in rows]


def test_a_parked_row_of_another_answer_does_not_count(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    parked = [label_by_string(answer("a", "Rome", given), "exact") for given in ("Rome", "Oslo")]
    write_shard(place, 0, parked, LABELLED)
    shard = next(tmp_path.glob("part-*"))
    shard.rename(tmp_path / "parked-00000-00000000.parquet")
    assert PARKED_NAME.fullmatch("parked-00000-00000000.parquet")
    found = settled_rows(place, 0, [answer("a", "Rome", "Rome"), answer("a", "Rome", "Lima")])
    assert [row and row["answer"] for row in found] == ["Rome", None]


def fails_on_a_bad_row(rows: Sequence[Row]) -> list[Row]:
    if any(row["answer"] == "bad" for row in rows):
        raise ValueError("a bad row")
    return [row | {"seen": row["answer"]} for row in rows]


@pytest.mark.parametrize("answers", [["x", "y", "x"], ["x", "bad", "y"], ["bad", "y", "bad"]])
def test_a_batch_keeps_rows_of_one_id_apart(answers: list[str]) -> None:
    rows = [{"row_id": "same", "answer": text, "error": None} for text in answers]
    rows.insert(1, {"row_id": "same", "answer": "z", "error": "no answer"})
    done = all_or_each(rows, fails_on_a_bad_row, lambda row, error: row | {"seen": None, "error": error})
    assert [row["answer"] for row in done] == [row["answer"] for row in rows]
    assert [row["seen"] for row in done] == [
        None if row["answer"] == "bad" or row["error"] else row["answer"] for row in rows
    ]
    assert done[1]["error"] == "no answer"


class ShowsAdapter:
    def set_adapter(self, name: str) -> None:
        self.name = name


def test_the_tuned_model_scores_rows_of_one_id_each(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = object.__new__(TunedQueryWorker)
    worker.adapters, worker.peft_model, worker.heads = {"oe": "1", "choice": "2"}, ShowsAdapter(), {}
    monkeypatch.setattr(
        worker,
        "_scored",
        lambda head, rows: [row | {"logit_yes": worker.peft_model.name + row["answer"]} for row in rows],
    )
    rows = [answer("same", "t", text) for text in "xyz"]
    assert [row["logit_yes"] for row in worker.process_task("oe", rows)] == ["1x", "1y", "1z"]
    assert [row["logit_yes"] for row in worker.process_task("choice", rows)] == ["2x", "2y", "2z"]


def test_answers_of_two_models_in_one_directory_have_ids_of_their_own(tmp_path: Path) -> None:
    place = tmp_path / "two"
    for model, text in (("a", "Rome"), ("b", "Oslo")):
        write_shard(Location(str(place)), 0, [answer(i, "Rome", text) | {"model": model} for i in "xyx"], ANSWER)
        next(place.glob("part-*")).rename(place / f"{model}.parquet")
    rows = list(open_answers(str(place), Location(str(tmp_path / "out")), 2).rows())
    assert [(row["model"], row["answer"]) for row in rows] == [("a", "Rome")] * 3 + [("b", "Oslo")] * 3
    assert len({row["row_id"] for row in rows}) == 6
    assert [row["row_id"] for row in rows[:2]] == ["x", "y"]
