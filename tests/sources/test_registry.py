from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.hashing import stable_hash
from raycalib.sources import (
    SourceSettings,
    check_sets,
    check_source,
    describe_source,
    evaluation_sets,
    set_identity,
    training_set,
)
from raycalib.sources.facts.splits import SPLITS
from tests.sources.drawn import ENDINGS, write

BOTH = ["oe", "choice"]
ROWS: list[dict[str, Any]] = [{"question": f"{split}?", "answer": "x", "split": split} for split in SPLITS]


def settings(path: Path, **more: Any) -> SourceSettings:
    return SourceSettings(name=f"file:{path}", **more)


def identity_of(source: SourceSettings, name: str = "training") -> dict[str, object]:
    sets = [training_set(source), *evaluation_sets(source, [])]
    (found,) = [each for each in sets if each.name == name]
    return set_identity(found, "oe")


def test_the_identity_changes_with_content_name_limits_and_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "one.jsonl", ROWS)
    one = identity_of(settings(path))
    assert identity_of(settings(path)) == one
    assert identity_of(settings(path, max_bad_rows=0.5)) == one
    others = [
        identity_of(settings(path, limits={"val_select": 3})),
        identity_of(settings(path, k_shot=("1",))),
        identity_of(settings(path, question_column="answer", answer_column="question")),
        identity_of(settings(write(tmp_path / "two.jsonl", ROWS[1:]))),
        identity_of(SourceSettings(name=f"file:{path}+facts")),
        identity_of(SourceSettings()),
    ]
    assert all(other != one for other in others)
    assert set_identity(training_set(settings(path)), "choice") != one


def test_the_identity_of_a_set_hangs_on_nothing_that_only_other_sets_hang_on(tmp_path: Path) -> None:
    path = write(tmp_path / "one.jsonl", ROWS)
    one, test = identity_of(settings(path)), identity_of(settings(path), "test")
    limited = settings(path, limits={"test": 3, "heldout_families": 1}, eval_k_shot=2)
    assert identity_of(limited) == one
    assert identity_of(limited, "test") != test
    learned = settings(path, limits={"train": 3}, k_shot=("train=1",))
    assert identity_of(learned, "test") == test
    assert identity_of(learned) != one
    mixture = SourceSettings(name="all_20k_uniform")
    assert identity_of(replace(mixture, name="all_20k_uniform+eval:mmlu")) == identity_of(mixture)
    assert identity_of(replace(mixture, name="all_20k_uniform+eval:mmlu:50")) == identity_of(mixture)
    with_mmlu = identity_of(replace(mixture, name="all_20k_uniform+eval:mmlu"), "heldout_families")
    assert with_mmlu["source"] == ["eval:mmlu"]


def test_evaluation_sets_are_checked_too(tmp_path: Path) -> None:
    own = settings(write(tmp_path / "own.jsonl", ROWS))
    check_sets([training_set(own), *evaluation_sets(own, ["arc", "gsm8k"])], ["oe"], 0)
    facts = SourceSettings()
    check_sets([training_set(facts), *evaluation_sets(facts, ["gsm8k", f"file:{tmp_path}/own.jsonl"])], BOTH, 0)
    with pytest.raises(ConfigError, match="it has no 'choice' prompts"):
        check_sets(evaluation_sets(facts, ["gsm8k"]), ["choice"], 0)
    bad = write(tmp_path / "bad.jsonl", [{"question": "", "answer": "x"}] * 3)
    with pytest.raises(DataError, match="3 of 3 rows are unusable"):
        check_sets([training_set(own), *evaluation_sets(own, [f"file:{bad}"])], ["oe"], 0)
    with pytest.raises(DataError, match=r"the file .*none\.jsonl does not exist"):
        check_sets([training_set(own), *evaluation_sets(own, [f"file:{tmp_path}/none.jsonl"])], ["oe"], 0)


def test_a_dataset_needs_no_test_rows_where_other_sets_are_evaluated_on(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["split"] in ("train", "val_select", "val_calibrate")]
    own = settings(write(tmp_path / "own.jsonl", rows))
    check_sets([training_set(own), *evaluation_sets(own, ["arc"])], ["oe"], 0)
    with pytest.raises(DataError, match=r"no oe questions in split test; .*--eval mmlu"):
        check_sets([training_set(own), *evaluation_sets(own, [])], ["oe"], 0)


def test_the_identity_changes_with_the_numbers_of_examples_that_the_rows_are_answered_with(tmp_path: Path) -> None:
    path = write(tmp_path / "one.jsonl", ROWS)

    def identity(name: str, *k_shot: str, eval_k_shot: int | None = None) -> dict[str, object]:
        return identity_of(settings(path, k_shot=k_shot, eval_k_shot=eval_k_shot), name)

    learned = partial(identity, "training")
    assert learned("1") == learned("train=1") == learned("train=1", "val=1") == learned("1", "mmlu=5")
    assert learned() == learned("mmlu=5") == learned("None") == learned("test=1") == learned(eval_k_shot=3)
    test = partial(identity, "test")
    assert test("1", eval_k_shot=2) == test("1", "test=2", "heldout_families=1") == test("2", "file:one=2")
    numbers = [(), ("1",), ("2",), ("train=1", "val=0")]
    assert len({stable_hash(learned(*each)) for each in numbers}) == len(numbers)


def test_the_identity_of_a_local_copy_changes_with_its_files(tmp_path: Path) -> None:
    rows = [{"text": "Who ?", "coarse_label": 3}]
    for split in ("train", "test"):
        write(tmp_path / "trec" / f"{split}.jsonl", rows)
    trec = SourceSettings(name="trec", data_root=str(tmp_path))
    one = identity_of(trec)
    write(tmp_path / "trec" / "test.jsonl", rows * 2)
    assert identity_of(trec) != one
    assert identity_of(SourceSettings(name="trec")) != one


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_good_file_passes_and_a_bad_one_does_not(tmp_path: Path, ending: str) -> None:
    check_source(settings(write(tmp_path / f"good{ending}", ROWS)), ["oe"], 0)
    path = write(tmp_path / f"bad{ending}", [*ROWS, {"question": "", "answer": "x", "split": "test"}])
    with pytest.raises(DataError, match=r"1 of 6 rows are unusable.*: row 6: 'question' is empty"):
        check_source(settings(path), ["oe"], 0)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe not a table {"])
def test_an_unreadable_file_is_a_data_error_in_one_line(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        check_source(settings(path), ["oe"], 0)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_file_without_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_text("" if ending == ".jsonl" else "question,answer\n")
    with pytest.raises(DataError, match="has no rows" if ending == ".jsonl" else "has no oe questions in split train"):
        check_source(settings(path), ["oe"], 0)


def test_large_files_are_only_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raycalib.sources.registry.CHECKED_WHOLE_BYTES", 10)
    monkeypatch.setattr("raycalib.sources.registry.CHECKED_ROWS", 3)
    path = write(tmp_path / "mine.csv", ROWS * 1000)
    with path.open("a") as file:
        file.write('"never closed')
    check_source(settings(path), ["oe"], 0)
    with pytest.raises(DataError, match="lacks the column"):
        check_source(settings(path, question_column="text"), ["oe"], 0)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("all_20k_uniform", "has no oe questions in split test; .*--eval mmlu"),
        ("eval:mmlu", "has no oe questions in split train"),
        ("boolq", "has no oe questions in split test"),
        ("wsc+mmlu:anatomy", "has no oe questions in split train"),
    ],
)
def test_what_no_run_can_use_is_told_before_anything_is_fetched(name: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        check_source(SourceSettings(name=name), ["oe"], 0)


def test_the_mixture_goes_without_what_the_hub_does_not_have() -> None:
    with_evaluation = SourceSettings(name="all_20k_uniform+eval:mmlu_pro")
    check_source(with_evaluation, ["oe", "choice"], 0)
    (note,) = describe_source(with_evaluation, 0)
    assert note.startswith("all_20k_uniform goes without story_cloze")
    with pytest.raises(DataError, match=r"source story_cloze: .*--data-root DIR"):
        check_source(SourceSettings(name="story_cloze"), ["oe"], 0)


def test_a_local_copy_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source arc: .*/arc/train .* does not exist"):
        check_source(SourceSettings(name="arc", data_root=str(tmp_path)), ["oe"], 0)


@pytest.mark.parametrize("name", ["hub:mmlu", "", "fact", "questions.csv"])
def test_an_unknown_source_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"source: '{name}' is unknown; allowed: facts, file:PATH"):
        SourceSettings(name=name)


def test_all_problems_are_named_at_once() -> None:
    message = (
        r"source\.limits\[test\]: 0 is not allowed; at least 1; source\.k_shot: -1 is not allowed; at least 0: a whole "
        r"number, such as 1 or train=1 mmlu=5; source\.eval_k_shot: -2 is not allowed; at least 0; "
        r"source\.max_bad_rows: 2 is not allowed; a share from 0 to 1; source: 'x'"
    )
    with pytest.raises(ConfigError, match=message):
        SourceSettings(name="x", limits={"test": 0, "train": 3}, k_shot=("-1",), eval_k_shot=-2, max_bad_rows=2)


def test_slug() -> None:
    assert SourceSettings().slug == "facts"
    assert SourceSettings(name="file:/a b/c.csv").slug == "file"
    assert SourceSettings(name="all_20k_uniform+eval:mmlu:9").slug == "all_20k_uniform-eval-mmlu"


def test_a_large_file_of_which_no_row_can_be_read_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raycalib.sources.registry.CHECKED_WHOLE_BYTES", 10)
    path = write(tmp_path / "mine.jsonl", [{"question": "", "answer": "x"}] * 9)
    with pytest.raises(DataError, match="none of the first 9 rows can be used: row 1: 'question' is empty"):
        check_source(settings(path), ["oe"], 0)
