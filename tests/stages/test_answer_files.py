from datetime import date, datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
import pytest

from raycalib.errors import DataError
from raycalib.judging import shown_right_answer
from raycalib.judging.outcome import Outcome
from raycalib.records import ANSWER, QUESTION, Row
from raycalib.stages.given import answer_files
from raycalib.stages.given.answer_files import open_answers, person_labels, text_slug
from raycalib.stages.workers.labels import label_by_string
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from tests.stages.answers import answer
from tests.stages.workers.test_labels import Engine, worker

LINES = [
    {"question": "Capital of Italy?", "target": "Rome", "answer": "Roma", "label": 1},
    {"question": "2 + 2?", "target": 4, "answer": 5, "label": 0},
    {"question": "Which?", "target": "a", "answer": "a", "style": "choice", "label": "yes"},
    {"question": "No answer?", "target": "Rome", "label": "0"},
    {"question": "Style?", "target": "Rome", "answer": "Rome", "style": "essay", "label": True},
]


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in LINES) + "not json\n")
    return path


def test_a_file_becomes_shards_and_a_bad_row_stays_with_its_fault(jsonl: Path, tmp_path: Path) -> None:
    out = Location(str(tmp_path / "out"))
    opened = open_answers(str(jsonl), out, 4)
    rows = list(opened.rows())
    assert len(opened.shards) == 2
    assert opened.manifest.counts == {"in": 6, "out": 6, "errors": 3}
    assert [(row["context"], row["target"], row["answer"], row["style"]) for row in rows[:3]] == [
        ("Capital of Italy?", "Rome", "Roma", "oe"),
        ("2 + 2?", "4", "5", "oe"),
        ("Which?", "a", "a", "choice"),
    ]
    faults = [row["error"] for row in rows]
    assert faults[:4] == [None, None, None, "row 4 has no answer"]
    assert faults[4] == "row 5 has the style 'essay'; allowed: oe, choice"
    assert str(faults[5]).startswith("row 6 is not JSON")
    assert len({row["row_id"] for row in rows}) == 6
    again = open_answers(str(jsonl), out, 4)
    assert again.was_done
    assert again.key == opened.key
    assert open_answers(str(jsonl), out, 3).key != opened.key


def test_no_more_rows_are_held_than_a_shard_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read, n_read = tmp_path / "many.jsonl", [0], list[int]()
    path.write_text(f"{json.dumps(LINES[0])}\n" * 50)
    plain_row, plain_write = answer_files._answer, answer_files.write_shard

    def counted(*values: Any) -> Row:
        read[0] += 1
        return plain_row(*values)

    def noted(*values: Any) -> str:
        n_read.append(read[0])
        return plain_write(*values)

    monkeypatch.setattr(answer_files, "_answer", counted)
    monkeypatch.setattr(answer_files, "write_shard", noted)
    assert len(open_answers(str(path), Location(str(tmp_path / "out")), 20).shards) == 3
    assert n_read == [20, 40, 50]


def test_rows_of_several_files_follow_one_another_and_none_are_refused(tmp_path: Path) -> None:
    rows = [answer("a", "Rome", "Rome"), answer("b", "b", "a", style="choice"), answer("c", "Paris", "Rome")]
    for number, of_file in enumerate((rows[:1], rows[1:])):
        write_shard(Location(str(tmp_path / "loose")), number, of_file, ANSWER)
        next((tmp_path / "loose").glob("part-*")).rename(tmp_path / "loose" / f"mine-{number}.parquet")
    opened = open_answers(str(tmp_path / "loose"), Location(str(tmp_path / "out")), 10)
    assert list(opened.rows()) == rows
    assert opened.manifest.counts == {"in": 3, "out": 3, "errors": 0}
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.jsonl has no rows"):
        open_answers(str(empty), Location(str(tmp_path / "out")), 10)


def test_what_a_column_holds_is_told_by_all_files(tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    for number, target in enumerate((4.0, 4.5)):
        line = {"question": "How many?", "target": target, "answer": "4"}
        parquet.write_table(pa.Table.from_pylist([line]), tmp_path / "loose" / f"mine-{number}.parquet")
    rows = list(open_answers(str(tmp_path / "loose"), Location(str(tmp_path / "out")), 10).rows())
    assert [row["target"] for row in rows] == ["4.0", "4.5"], "they are not all whole"


def test_equal_rows_have_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "same.jsonl"
    path.write_text(f"{json.dumps(LINES[0])}\n" * 3)
    rows = list(open_answers(str(path), Location(str(tmp_path / "out")), 10).rows())
    assert len({row["row_id"] for row in rows}) == 3


def test_a_stage_is_taken_as_it_is(tmp_path: Path) -> None:
    place = Location(str(tmp_path / "stage"))
    names = (write_shard(place, 0, [answer("a", "Rome", "Rome")], ANSWER),)
    write_manifest(place, Manifest(stage="answers", key="k", config={}, shards=names, counts={"out": 1}))
    opened = open_answers(place.uri, Location(str(tmp_path / "out")), 10)
    assert (opened.key, [row["row_id"] for row in opened.rows()]) == ("k", ["a"])
    assert not (tmp_path / "out").exists()


def test_answer_records_keep_their_columns(tmp_path: Path) -> None:
    rows = [answer("a", "Rome", "Rome"), answer("b", "b", "a", style="choice")]
    write_shard(Location(str(tmp_path / "loose")), 0, rows, ANSWER)
    next((tmp_path / "loose").glob("part-*")).rename(tmp_path / "loose" / "mine.parquet")
    assert list(open_answers(str(tmp_path / "loose"), Location(str(tmp_path / "out")), 10).rows()) == rows


def test_one_shard_alone_is_a_file_like_others(tmp_path: Path) -> None:
    name = write_shard(Location(str(tmp_path / "s")), 0, [answer("a", "Rome", "Rome")], ANSWER)
    assert len(list(open_answers(str(tmp_path / "s" / name), Location(str(tmp_path / "out")), 10).rows())) == 1


def test_shards_without_a_manifest_are_refused_with_the_cause(tmp_path: Path) -> None:
    place = Location(str(tmp_path / "stage"))
    name = write_shard(place, 0, [answer("a", "Rome", "Rome")], ANSWER)

    def refused(match: str) -> None:
        with pytest.raises(DataError, match=match):
            open_answers(place.uri, Location(str(tmp_path / "out")), 10)

    refused(r"has shards and no manifest.json \(files of 1 shards\), so its stage is not finished.*run the command")
    write_shard(place, 0, [answer("a", "Rome", "Rome")], ANSWER)
    write_shard(place, 1, [answer("b", "Rome", "Rome")], ANSWER)
    refused(r"files of 2 shards, several attempts at part-00000\)")
    (tmp_path / "stage" / name).rename(tmp_path / "stage" / "parked-00000-0123abcd.parquet")
    refused("files of 2 shards, 1 parked")
    for path in (tmp_path / "stage").glob("part-*"):
        path.unlink()
    refused("1 parked")


def test_a_stage_that_lacks_what_its_manifest_names_or_has_no_answers_is_refused(tmp_path: Path) -> None:
    place, out = Location(str(tmp_path / "stage")), Location(str(tmp_path / "out"))
    names = tuple(write_shard(place, i, [answer("a", "Rome", "Rome")], ANSWER) for i in range(2))
    write_manifest(place, Manifest(stage="answers", key="k", config={}, shards=names, counts={"out": 2}))
    (tmp_path / "stage" / names[1]).unlink()
    with pytest.raises(DataError, match=rf"{names[1]} of its manifest\.json are gone or damaged; run again what made"):
        open_answers(place.uri, out, 10)
    write_manifest(place, Manifest(stage="answers", key="k", config={}, shards=(), counts={"out": 0}))
    with pytest.raises(DataError, match="a finished stage without rows"):
        open_answers(place.uri, out, 10)
    question = {name: value for name, value in answer("a", "Rome", "Rome").items() if name in QUESTION.names}
    questions = (write_shard(place, 3, [question], QUESTION),)
    write_manifest(place, Manifest(stage="questions", key="k", config={}, shards=questions, counts={"out": 1}))
    with pytest.raises(DataError, match=r"lacks the columns \['answer', 'error'\]"):
        open_answers(place.uri, out, 10)


def test_a_file_without_a_needed_column_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"question": "Which?", "reference": "Rome", "prediction": "Rome"}\n' * 3)
    with pytest.raises(DataError, match="has no column 'target' and no 'answer'; it has question, reference, predic"):
        open_answers(str(path), Location(str(tmp_path / "out")), 10)


@pytest.mark.parametrize("name", ["absent.jsonl", "answers.txt", "empty"])
def test_what_holds_no_answers_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "answers.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="answers: "):
        open_answers(str(tmp_path / name), Location(str(tmp_path / "out")), 10)


def test_labels_of_a_person(jsonl: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 6 has the label None; allowed: 1"):
        person_labels(str(jsonl))
    good = tmp_path / "good.jsonl"
    good.write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    assert person_labels(str(good)) == [1, 0, 1, 0, 1]
    good.write_text('{"label": 2}\n')
    with pytest.raises(DataError, match="label 2"):
        person_labels(str(good))


@pytest.mark.parametrize(
    ("text", "slug"), [("gpt-4.1", "gpt-4.1"), ("Org/Model v2", "org-model-v2"), ("..", "x"), ("é", "x")]
)
def test_a_judges_directory_has_a_plain_name(text: str, slug: str) -> None:
    assert text_slug(text) == slug


def test_several_right_answers_are_kept_and_an_older_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "several.jsonl"
    lines = [
        {"question": "?", "target": ["Rome", "Roma"], "answer": "Roma"},
        {"question": "?", "target": "Rome", "aliases": ["Roma"], "answer": "Roma"},
        {"question": "?", "target": "Rome", "answer": "Roma"},
        {"question": "?", "target": {"a": 1}, "answer": "Roma"},
        {name: value for name, value in answer("old", "Rome", "Roma").items() if name not in ("aliases", "solution")},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows = list(open_answers(str(path), Location(str(tmp_path / "out")), 10).rows())
    assert [row["aliases"] for row in rows] == [["Roma"]] * 2 + [None] * 3
    assert [row["target"] for row in rows] == ["Rome"] * 3 + ["", "Rome"]
    assert [row["error"] for row in rows] == [
        *[None] * 3,
        "row 4: 'target' holds the fields a; give a text or a number, or a list of them",
        None,
    ]


def opened(path: Path, tmp_path: Path) -> list[Row]:
    return list(open_answers(str(path), Location(str(tmp_path / "out")), 10).rows())


@pytest.mark.parametrize("grader", ["exact", "judge"])
def test_a_row_without_a_right_answer_costs_itself_alone(tmp_path: Path, grader: Any) -> None:
    path = tmp_path / "some.jsonl"
    lines = [
        {"question": "?", "target": "", "aliases": ["", "Rome", "Roma"], "answer": "Rome"},
        {"question": "?", "target": " ", "aliases": [" "], "answer": "Rome"},
        {"question": "?", "target": "Bombay", "aliases": [{"alias": "Mumbai"}], "answer": "Mumbai"},
        {"question": "?", "target": "Rome", "answer": "Rome"},
        answer("r", " ", "Rome") | {"aliases": ["Rome", ""]},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows = opened(path, tmp_path)
    assert [(row["target"], row["aliases"]) for row in rows[:2]] == [("Rome", ["Roma"]), ("", None)]
    assert [row["error"] for row in rows] == [
        None,
        "row 2 has no target",
        "row 3: 'aliases' holds the fields alias; give a text or a number, or a list of them",
        None,
        None,
    ]
    if grader == "judge":
        engine = Engine(*[Outcome(text="yes")] * 3)
        labelled = worker(engine).process(rows)
        asked = [messages[1]["content"].splitlines()[0] for messages in engine.asked]
        assert ['"right_answer": "Rome' in text for text in asked] == [True] * 3
    else:
        labelled = [label_by_string(row, grader) for row in rows]
    assert [row["query_label"] for row in labelled] == [1, None, None, 1, 1]


@pytest.mark.parametrize(
    ("targets", "answers", "right"),
    [
        (pa.array([date(2020, 1, 31), date(2021, 1, 1)]), ["2020-01-31", "2021-01-01"], 2),
        (pa.array([datetime(2020, 1, 31), datetime(2021, 1, 1)]), ["2020-01-31", "2021-01-01"], 2),
        (pa.array([4.0, None], pa.float64()), ["4", "5"], 1),
        (pa.array([4.0, 5.5], pa.float64()), ["4.0", "5.5"], 2),
        (["2 * 3 = 6\n#### 6", "1 + 1 = 2\n#### 2"], ["6", "2"], 2),
        ([True, False], ["Yes", "No"], 2),
        (['["Rome", "Roma"]', '["Oslo"]'], ["Roma", "Oslo"], 2),
        (pa.array([4, 5]), pa.array([4.0, None], pa.float64()), 1),
    ],
)
def test_a_file_of_answers_is_read_as_one_of_questions(tmp_path: Path, targets: Any, answers: Any, right: int) -> None:
    path = tmp_path / "typed.parquet"
    parquet.write_table(pa.table({"question": ["?", "??"], "target": targets, "answer": answers}), path)
    rows = opened(path, tmp_path)
    assert sum(label_by_string(row, "exact")["query_label"] or 0 for row in rows) == right


def test_truth_values_of_a_csv_are_yes_and_no(tmp_path: Path) -> None:
    path = tmp_path / "truths.csv"
    path.write_text("question,target,answer\nIs it?,true,Yes\nIs that?,false,No\n")
    assert [label_by_string(row, "exact")["query_label"] for row in opened(path, tmp_path)] == [1, 1]


def test_a_judge_sees_the_whole_solution_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "solved.jsonl"
    path.write_text(json.dumps({"question": "?", "target": "2 * 3 = 6\n#### 6", "answer": "6"}))
    (row,) = opened(path, tmp_path)
    assert (row["target"], shown_right_answer(row)) == ("6", "2 * 3 = 6\n#### 6")
