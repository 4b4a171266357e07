import json
from pathlib import Path

import pytest

from raycalib.errors import DataError
from raycalib.records import ANSWER
from raycalib.stages.answer_files import open_answers, person_labels, text_slug
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from tests.stages.answers import answer

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
    assert list(open_answers(str(tmp_path / "loose"), Location(str(tmp_path / "out")), 10).rows()) == rows


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
