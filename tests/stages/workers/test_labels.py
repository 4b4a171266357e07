from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raycalib.judging.desk import LocalDesk
from raycalib.judging.outcome import Outcome, Tally
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.settings import JudgeSettings
from raycalib.records import LABELLED
from raycalib.stages.workers.labels import JudgeWorker, JudgeWorkerConfig, LabelWorker, LabelWorkerConfig
from raycalib.storage import Location
from tests.judging.chat_server import ChatServer
from tests.stages.answers import answer

ROWS = [
    answer("a", "Rome", "Rome"),
    answer("b", "Rome", "Oslo"),
    answer("c", "a", "a", style="choice"),
    answer("d", "b", "a", style="choice"),
    answer("e", "Rome", "", error="too long"),
    answer("f", " ", "Rome"),
    answer("g", "Rome", "Roma"),
]


class Engine:
    """Says what it is told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes, self.tally = list(outcomes), Tally()
        self.asked: list[Messages] = []

    def replies(self, requests: Sequence[Messages]) -> list[Outcome]:
        self.asked += requests
        self.tally.requests += len(requests)
        return [self.outcomes.pop(0) for _ in requests]


def worker(engine: Any) -> JudgeWorker:
    config = JudgeWorkerConfig(settings=JudgeSettings(model="m"), cache=Location("memory://labels"))
    return JudgeWorker(config, engine)


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_only_open_ended_answers_are_judged_and_each_row_comes_back_in_order() -> None:
    engine = Engine(Outcome(text="Yes."), Outcome(text="no"), Outcome(reason="no time", retryable=True))
    labelled = worker(engine).process(ROWS)
    assert [row["row_id"] for row in labelled] == [row["row_id"] for row in ROWS]
    assert columns(labelled, "query_label", "judge", "judge_prompt", "verdict", "retryable") == [
        (1, "m", "strict-3", "Yes.", False),
        (0, "m", "strict-3", "no", False),
        (1, None, None, None, False),
        (0, None, None, None, False),
        (None, None, None, None, False),
        (None, None, None, None, False),
        (None, "m", "strict-3", None, True),
    ]
    assert [row["unscored_reason"] for row in labelled[4:]] == [
        "no answer: too long",
        "the question has no right answer to compare with",
        "no time",
    ]
    assert {row["grader"] for row in labelled} == {"judge"}
    assert len(engine.asked) == 3
    pa.Table.from_pylist(labelled, schema=LABELLED).validate(full=True)


def test_a_verdict_that_cannot_be_read_is_unscored_for_good() -> None:
    (row,) = worker(Engine(Outcome(text="Maybe"))).process(ROWS[:1])
    assert columns([row], "query_label", "verdict", "retryable") == [(None, "Maybe", False)]
    assert row["unscored_reason"] == "the judge's first word is 'Maybe', neither yes nor no"


def test_a_shard_without_open_ended_answers_asks_nothing() -> None:
    engine = Engine()
    assert len(worker(engine).process(ROWS[2:6])) == 4
    assert worker(engine).process([]) == []
    assert engine.tally.requests == 0


def test_a_tally_is_of_what_was_done_since_the_last() -> None:
    judge = worker(Engine(*[Outcome(text="yes")] * 3))
    judge.process(ROWS[:2])
    assert judge.take_figures()["requests"] == 2
    assert judge.take_figures()["requests"] == 0
    judge.process(ROWS[:1])
    assert judge.take_figures()["requests"] == 1


@pytest.mark.parametrize("grader", ["exact", "substring"])
def test_labels_by_string_have_the_same_columns(grader: Any) -> None:
    labelled = LabelWorker(LabelWorkerConfig(grader=grader)).process(ROWS)
    assert columns(labelled, "query_label") == [(1,), (0,), (1,), (0,), (None,), (None,), (0,)]
    assert {row["retryable"] for row in labelled} == {False}
    pa.Table.from_pylist(labelled, schema=LABELLED).validate(full=True)


def test_through_a_real_server(tmp_path: Path) -> None:
    with ChatServer() as server:
        settings = JudgeSettings(model="m", base_url=server.url)
        config = JudgeWorkerConfig(settings=settings, cache=Location(str(tmp_path)), desk=LocalDesk(key="k"))
        judge = JudgeWorker(config)
        assert columns(judge.process(ROWS), "query_label") == [(1,), (0,), (1,), (0,), (None,), (None,), (0,)]
        assert len(server.seen.times) == 3
        judge.engine.close()


@pytest.mark.parametrize("grader", ["exact", "contains", "substring"])
def test_any_of_several_right_answers_is_right_and_an_older_row_has_one(grader: Any) -> None:
    older = answer("o", "Rome", "Roma")
    rows = [older, {**older, "aliases": None, "solution": None}, {**older, "aliases": ["Roma", "Urbs"]}]
    labelled = LabelWorker(LabelWorkerConfig(grader=grader)).process(rows)
    assert [row["query_label"] for row in labelled] == [0, 0, 1]
    table = pa.Table.from_pylist(labelled, schema=LABELLED)
    assert table["aliases"].to_pylist() == [None, None, ["Roma", "Urbs"]]


def test_the_judge_is_told_all_right_answers_and_the_whole_solution() -> None:
    engine = Engine(*[Outcome(text="yes")] * 3)
    several = {**answer("o", "Rome", "Roma"), "aliases": ["Roma", "Urbs"]}
    solved = {**answer("s", "6", "6"), "aliases": None, "solution": "2 * 3 = 6\n#### 6"}
    worker(engine).process([several, solved, answer("p", "Rome", "Rome")])
    asked = [messages[1]["content"].splitlines()[0] for messages in engine.asked]
    assert '"right_answer": "Rome (or any of these, which are right as well: Roma; Urbs)"' in asked[0]
    assert '"right_answer": "2 * 3 = 6\\n#### 6"' in asked[1]
    assert '"right_answer": "Rome"' in asked[2]
