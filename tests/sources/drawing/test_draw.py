"""Mixes, limits and the checks of a whole run."""

from collections import Counter
from pathlib import Path
import re
from typing import Any

import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.sources import RefusedRow, SourceSettings, draw_questions
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS
from tests.sources.drawn import Drawn, check_counts, write


def own(path: Path, n: int, **more: Any) -> Path:
    return write(path, [{"question": f"{path.stem} {index}?", "answer": "x"} | more for index in range(n)])


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_facts_are_as_they_always_were(style: str) -> None:
    limits = {"train": 50, "test": 9}
    expected = [row for split in SPLITS for row in fact_questions(style, split, 3, limits.get(split))]
    assert Drawn("facts", style, 3, limits=limits).rows == expected
    expected = [row for split in SPLITS for row in fact_questions(style, split, 3, min(7, limits.get(split, 7)))]
    assert Drawn("facts:7", style, 3, limits={"test": 9}).rows == expected


def test_facts_in_a_mix(tmp_path: Path) -> None:
    path = own(tmp_path / "a.jsonl", 10, split="train")
    drawn = Drawn(f"facts:20+file:{path}", limits={"train": 25})
    check_counts(drawn)
    assert len(drawn.split("train")) == 25
    assert len(drawn.split("test")) == 20
    assert {row["source"] for row in drawn.split("train")} == {"facts", "file:a.jsonl"}


def test_a_mix_has_the_rows_of_its_parts_in_their_order(tmp_path: Path) -> None:
    paths = [own(tmp_path / f"{name}.jsonl", 5) for name in "ba"]
    alone = [row for path in paths for row in Drawn(f"file:{path}").rows]
    assert Drawn("+".join(f"file:{path}" for path in paths)).rows == alone


def test_equal_rows_of_two_files_have_ids_of_their_own(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", [{"question": "?", "answer": "x"}]) for name in "ab"]
    drawn = Drawn("+".join(f"file:{path}" for path in paths))
    assert len(set(drawn.ids())) == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_limits_choose_the_same_rows_in_any_order_of_the_file(tmp_path: Path, seed: int) -> None:
    records = [{"question": f"{index}?", "answer": "x", "split": ["train", "test"][index % 2]} for index in range(200)]
    path = write(tmp_path / "a.jsonl", records)
    backwards = write(tmp_path / "b.jsonl", records[::-1])
    drawn, other = (Drawn(f"file:{p}", seed=seed, limits={"train": 10}) for p in (path, backwards))
    check_counts(drawn)
    assert len(drawn.split("train")) == 10
    assert len(drawn.split("test")) == 100
    assert sorted(drawn.ids()) == sorted(other.ids())
    assert drawn.ids() == [row_id for row_id in Drawn(f"file:{path}", seed=seed).ids() if row_id in set(drawn.ids())]
    assert set(Drawn(f"file:{path}", seed=seed, limits={"train": 5}).ids()) < set(drawn.ids())
    assert set(Drawn(f"file:{path}", seed=seed + 7, limits={"train": 10}).ids()) != set(drawn.ids())


def test_limits_count_equal_rows_apart(tmp_path: Path) -> None:
    records = [{"question": f"{index % 5}?", "answer": "x", "split": "test"} for index in range(50)]
    drawn = Drawn(f"file:{write(tmp_path / 'a.jsonl', records)}", limits={"test": 20})
    assert len(set(drawn.ids())) == 20


def test_the_limit_of_a_part_is_its_own(tmp_path: Path) -> None:
    a, b = own(tmp_path / "a.jsonl", 40, split="test"), own(tmp_path / "b.csv", 40, split="test")
    drawn = Drawn(f"file:{a}:7+file:{b}")
    assert Counter(row["source"] for row in drawn.rows) == {"file:a.jsonl": 7, "file:b.csv": 40}
    assert len(Drawn(f"file:{a}:7+file:{b}", limits={"test": 20}).rows) == 20


SPLIT_ROWS = [{"question": f"{split}?", "answer": "x", "split": split} for split in SPLITS]


def drawn_all(path: Path, *styles: str, **settings: Any) -> list[Any]:
    return list(draw_questions(SourceSettings(name=f"file:{path}", **settings), styles or ["oe"], 0))


@pytest.mark.parametrize("missing", ["train", "val_select", "val_calibrate"])
def test_a_needed_split_without_questions_is_named(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path / "mine.jsonl", [row for row in SPLIT_ROWS if row["split"] != missing])
    with pytest.raises(DataError, match=rf"mine\.jsonl has no oe questions in split {missing}; add rows"):
        drawn_all(path)


@pytest.mark.parametrize("left_out", ["test", "heldout_families"])
def test_a_run_evaluates_on_test_rows_or_held_out_ones(tmp_path: Path, left_out: str) -> None:
    path = write(tmp_path / "mine.jsonl", [row for row in SPLIT_ROWS if row["split"] != left_out])
    assert len(drawn_all(path)) == 4
    path = write(tmp_path / "less.jsonl", SPLIT_ROWS[:3])
    with pytest.raises(DataError, match=r"has no oe questions in split test; .*--eval mmlu"):
        drawn_all(path)


def test_a_style_without_questions_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", SPLIT_ROWS)
    with pytest.raises(DataError, match="has no choice questions in split train"):
        drawn_all(path, "oe", "choice")
    with pytest.raises(ConfigError, match="source gsm8k: it has no 'choice' prompts"):
        list(draw_questions(SourceSettings(name="gsm8k+facts"), ["choice"], 0))


@pytest.mark.parametrize(
    ("n_bad", "most", "stops"), [(1, 0.01, False), (2, 0.01, True), (2, 0.02, False), (1, 0.0, True)]
)
def test_too_many_bad_rows_stop_the_run(tmp_path: Path, n_bad: int, most: float, stops: bool) -> None:
    rows = [row | {"question": f"{index}?"} for index in range(20) for row in SPLIT_ROWS]
    for index in range(n_bad):
        rows[index * 30 + 3]["answer"] = ""
    path = write(tmp_path / "mine.jsonl", rows)
    if not stops:
        assert sum(isinstance(drawn, RefusedRow) for drawn in drawn_all(path, max_bad_rows=most)) == n_bad
        return
    message = (
        rf"source: {re.escape(str(path))}: {n_bad} of 100 rows are unusable, more than the {most:.3g} allowed: "
        "row 4: 'answer' is empty"
    )
    with pytest.raises(DataError, match=message) as caught:
        drawn_all(path, max_bad_rows=most)
    assert "\n" not in str(caught.value)
