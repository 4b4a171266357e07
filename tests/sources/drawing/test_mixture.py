"""Quotas, and the mixture on small copies of all its sources."""

from collections import Counter
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.sources import SourceSettings, check_source, describe_source
from raycalib.sources.drawing.mixture import even_quotas, paper_train_quotas, paper_validation
from raycalib.sources.hub import hub_source, mixture_sources
from raycalib.sources.hub.open_hub import OpenHubSource
from tests.sources.drawn import Drawn, check_counts, write

SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), max_size=8)


@given(SIZES, st.integers(0, 200))
def test_even_quotas_use_all_that_is_wanted_and_are_as_even_as_can_be(sizes: dict[str, int], total: int) -> None:
    quotas = even_quotas(sizes, total)
    assert list(quotas) == list(sizes)
    assert sum(quotas.values()) == min(total, sum(sizes.values()))
    assert all(0 <= quotas[name] <= size for name, size in sizes.items())
    # No source has more than one row above a source that could still give one.
    able = [quotas[name] for name, size in sizes.items() if quotas[name] < size]
    assert not able or max(quotas.values()) <= min(able) + 1


def test_the_paper_gives_equal_shares_and_leaves_the_rest() -> None:
    assert paper_train_quotas({"a": 3, "b": 100, "c": 100}, 30) == {"a": 3, "b": 10, "c": 10}
    assert even_quotas({"a": 3, "b": 100, "c": 100}, 30) == {"a": 3, "b": 14, "c": 13}


def test_the_paper_validates_on_the_first_sources_only() -> None:
    """Of 60 + 40 rows 30 + 20 are taken in proportion, and the first 10 of these are all of a."""
    found = paper_validation({"a": 60, "b": 40}, 1, total=50, wanted=10)
    assert sorted(found) == [("a", index) for index in range(10)]
    assert found != sorted(found)
    assert len(paper_validation({"a": 60, "b": 40}, 1, total=50)) == 50


TEXT_COLUMNS = (
    "premise hypothesis question question_stem passage paragraph context text sentence goal ctx ctx_a ctx_b Problem "
    "support input_sentence_1 input_sentence_2 input_sentence_3 input_sentence_4"
)


def rows_of(name: str, n: int) -> list[dict[str, Any]]:
    """Rows with every column that any source of the mixture reads."""
    options = ["one", "two", "three", "four", "five"]
    lettered = {"text": options, "label": list("ABCDE")}
    texts = {column: f"{column} {name}" for column in TEXT_COLUMNS.split()}
    answer: Any = {"boolq": True, "winogrande": "1", "multirc": "it"}.get(name, "x")
    columns = {f"answer{place}": f"option {place}" for place in (0, 1, 2, 3, "A", "B", "C")}
    columns |= {
        f"{stem}{place}": f"option {place}"
        for stem in ("choice", "sol", "option", "sentence_quiz", "distractor")
        for place in (1, 2, 3)
    }
    fixed = {
        **texts,
        **columns,
        "label": "1" if name == "siqa" else 1,
        "coarse_label": 1,
        "choices": lettered,
        "endings": options,
        "options": "a ) 1 , b ) 2" if name == "math_qa" else options,
        "correct": "b",
        "correct_answer": "right",
        "answerKey": "B",
        "answer": answer,
        "answer_right_ending": 1,
        "mc1_targets": {"choices": options, "labels": [1, 0, 0, 0, 0]},
    }
    return [
        {column: f"{value} {index}" if column in texts else value for column, value in fixed.items()}
        for index in range(n)
    ]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("hub")
    for source in mixture_sources("choice"):
        n = 4 if source.name == "cb" else 30
        for hub_split in {*source.splits.values(), source.shots_from}:
            write(root / source.name / f"{hub_split}.jsonl", rows_of(source.name, n))
    return str(root)


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_the_mixture_is_even_and_validates_on_all_sources(data_root: str, style: str) -> None:
    drawn = Drawn("all_20k_uniform:100", style, data_root=data_root)
    check_counts(drawn)
    assert not drawn.refused
    train, validation = drawn.split("train"), drawn.split("val_select", "val_calibrate")
    assert (len(train), len(validation), len(drawn.rows)) == (100, 100, 200)
    names = [source.name for source in mixture_sources(style)]
    training = [name for name in names if "train" in hub_source(name).splits]
    assert list(dict.fromkeys(row["source"] for row in train)) == training
    quotas = even_quotas({name: 4 if name == "cb" else 20 for name in training}, 100)
    assert Counter(row["source"] for row in train) == quotas
    validating = Counter(row["source"] for row in validation)
    assert set(validating) == {name for name in names if name != "wsc"}
    assert set(drawn.ids()) == set(Drawn("all_20k_uniform:100", style, data_root=data_root).ids())


def test_train_and_validation_rows_of_one_split_do_not_meet(data_root: str) -> None:
    drawn = Drawn("all_20k_uniform", data_root=data_root)
    texts = Counter(row["context"] for row in drawn.rows if row["source"] == "trec")
    assert len(texts) == 30
    assert set(texts.values()) == {1}
    assert {row["split"] for row in drawn.rows if row["source"] == "trec"} == {"train", "val_select", "val_calibrate"}


def test_a_bad_row_that_two_streams_read_is_refused_once(data_root: str, tmp_path: Path) -> None:
    for source in mixture_sources("choice"):
        for path in (Path(data_root) / source.name).iterdir():
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            if path.parent.name == "trec" and path.stem == "train":
                rows[0]["text"] = ""
            write(tmp_path / source.name / path.name, rows)
    drawn = Drawn("all_20k_uniform", data_root=str(tmp_path))
    check_counts(drawn)
    assert [(refused.source, refused.row) for refused in drawn.refused] == [("trec", 1)]


def test_the_papers_mixture(data_root: str) -> None:
    drawn = Drawn("all_20k_uniform:100", "choice", 137, paper_exact=True, data_root=data_root)
    train = drawn.split("train")
    assert Counter(row["source"] for row in train)["cb"] == 4
    assert len(train) == 19 * 5 + 4
    validation = drawn.split("val_select", "val_calibrate")
    order = [source for source in mixture_sources("choice") if "validation" in source.splits]
    sizes = {source.name: 4 if source.name == "cb" else 30 for source in order}
    expected = [name for name, _ in paper_validation(sizes, 137, 100, 100)]
    assert [row["source"] for row in validation] == expected
    assert "trec" not in expected


def test_with_evaluation(data_root: str, tmp_path: Path) -> None:
    from raycalib.sources.hub import MMLU_TASKS

    for task in MMLU_TASKS:
        for split in ("dev", "validation", "test"):
            rows = [{"question": f"{task} {index}?", "choices": ["x", "y"], "answer": 0} for index in range(6)]
            write(tmp_path / "mmlu" / task / f"{split}.jsonl", rows)
    drawn = Drawn("eval:mmlu", "choice", data_root=str(tmp_path))
    assert len(drawn.rows) == len(drawn.split("heldout_families")) == 57 * 6
    assert {row["task"] for row in drawn.rows} == {f"mmlu:{task}" for task in MMLU_TASKS}
    assert len(Drawn("eval:mmlu:50", "choice", data_root=str(tmp_path)).rows) == 50


def test_every_row_that_is_read_is_counted_and_bad_ones_are_a_share_of_them(data_root: str, tmp_path: Path) -> None:
    """3,000 train rows of trec, of which few are taken, 10 of them bad: 0.33 %, below the 1 % that is allowed."""
    for source in mixture_sources("choice"):
        for path in (Path(data_root) / source.name).iterdir():
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            if path.parent.name == "trec" and path.stem == "train":
                rows = rows_of("trec", 3000)
                for row in rows[-10:]:
                    row["text"] = ""
            write(tmp_path / source.name / path.name, rows)
    drawn = Drawn("all_20k_uniform:200", data_root=str(tmp_path))
    check_counts(drawn)
    assert (drawn.tally.read["trec"], drawn.tally.bad["trec"]) == (3000, 10)
    drawn.tally.check(0.01)
    with pytest.raises(DataError, match="10 of 3,000 rows are unusable"):
        drawn.tally.check(0.003)


def test_a_source_beside_the_mixture_that_is_in_it_gives_its_test_rows_alone(data_root: str) -> None:
    alone = Drawn("all_20k_uniform:100", data_root=data_root)
    both = Drawn("all_20k_uniform:100+arc", data_root=data_root)
    assert [row for row in both.rows if row["split"] != "test"] == alone.rows
    assert [row["source"] for row in both.split("test")] == ["arc"] * 30
    assert len(set(both.ids())) == len(both.rows)
    with pytest.raises(ConfigError, match="boolq is in all_20k_uniform already and has no test rows; name it once"):
        Drawn("boolq+all_20k_uniform", data_root=data_root)


def test_no_collection_beside_a_part_of_it() -> None:
    with pytest.raises(ConfigError, match="'mmlu:anatomy' is part of 'eval:mmlu'; leave out one of them"):
        SourceSettings(name="eval:mmlu+mmlu:anatomy")
    SourceSettings(name="eval:mmlu_pro+mmlu:anatomy")


def test_the_mixture_asks_for_no_file_that_it_does_not_read(data_root: str, tmp_path: Path) -> None:
    for source in mixture_sources("choice"):
        for hub_split in {source.splits[role] for role in ("train", "validation") if role in source.splits}:
            if source.manual is None:
                origin = Path(data_root) / source.name / f"{hub_split}.jsonl"
                write(
                    tmp_path / source.name / origin.name, [json.loads(line) for line in origin.read_text().splitlines()]
                )
    settings = SourceSettings(name="all_20k_uniform+arc", data_root=str(tmp_path))
    with pytest.raises(DataError, match=r"source arc: .*arc/test .* does not exist"):
        check_source(settings, ["oe", "choice"], 0)
    write(tmp_path / "arc" / "test.jsonl", rows_of("arc", 5))
    check_source(settings, ["oe", "choice"], 0)
    assert any("goes without story_cloze, which is not in" in line for line in describe_source(settings, 0))
    drawn = Drawn("all_20k_uniform", data_root=str(tmp_path))
    assert "story_cloze" not in {row["source"] for row in drawn.rows}
    (tmp_path / "arc" / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"source arc: .*arc/train .* does not exist"):
        check_source(settings, ["oe"], 0)


def test_few_shot_examples_are_looked_for_before_anything_is_read(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write(tmp_path / "arc" / f"{split}.jsonl", rows_of("arc", 9))
    for split in ("validation", "test"):
        write(tmp_path / "mmlu" / "anatomy" / f"{split}.jsonl", [{"question": "?", "choices": ["x", "y"], "answer": 0}])
    settings = SourceSettings(name="arc:5+mmlu:anatomy", data_root=str(tmp_path))
    write(tmp_path / "arc" / "test.jsonl", rows_of("arc", 9))
    with pytest.raises(DataError, match=r"mmlu:anatomy: .*anatomy/dev .* does not exist"):
        check_source(settings, ["choice"], 0)
    check_source(SourceSettings(name=settings.name, data_root=str(tmp_path), eval_k_shot=0), ["choice"], 0)
    for part in ("heldout_families", "mmlu", "mmlu:anatomy"):
        check_source(replace(settings, k_shot=(f"{part}=0",)), ["choice"], 0)


def test_no_example_is_set_apart_for_validation(data_root: str) -> None:
    source = OpenHubSource(hub_source("trec"), data_root, seed=0)
    assert 0 < len(source.pool()) < 30
    assert {source.split_of("train", item) for item in source.pool()} == {"train"}
    exact = OpenHubSource(hub_source("trec"), data_root, seed=0, paper_exact=True)
    assert len(exact.pool()) == 30


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rows = [{"question": f"{index}?", "answer": "x"} for index in range(20)]
    paths = [
        write(tmp_path / "a" / "q.jsonl", rows),
        write(
            tmp_path / "b" / "q.jsonl", [row | {"answer": "" if index < 2 else "y"} for index, row in enumerate(rows)]
        ),
    ]
    drawn = Drawn("+".join(f"file:{path}" for path in paths))
    assert drawn.tally.read == {f"file:{path}": 20 for path in paths}
    with pytest.raises(DataError, match="2 of 20 rows are unusable"):
        drawn.tally.check(0.09)
