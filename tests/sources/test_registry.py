import json
from pathlib import Path

import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.sources import SourceSettings, check_source, draw_questions, source_identity

SPLITS = ["train", "val_select", "val_calibrate", "test"]


def write(path: Path, splits: list[str], *, with_options: bool = True) -> SourceSettings:
    options = {"options": ["x", "y"]} if with_options else {}
    records = [{"question": f"{split}?", "answer": "x", "split": split} | options for split in splits]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return SourceSettings(name=f"file:{path}")


def test_facts_have_every_split_in_every_style_within_the_limits() -> None:
    limits = {"train": 5, "test": 3}
    drawn = {
        (split, style): rows
        for split, style, rows in draw_questions(SourceSettings(limits=limits), ["choice", "oe"], 0)
    }
    assert {split for split, _ in drawn} == {*SPLITS, "heldout_families"}
    assert {style for _, style in drawn} == {"choice", "oe"}
    assert len(drawn["train", "oe"]) == 5
    assert len(drawn["test", "choice"]) == 3
    assert len(drawn["val_select", "oe"]) > 100
    assert all(
        row["split"] == split and row["style"] == style for (split, style), rows in drawn.items() for row in rows
    )


def test_a_file_needs_no_held_out_families(tmp_path: Path) -> None:
    settings = write(tmp_path / "mine.jsonl", SPLITS)
    check_source(settings, ["oe"], 0)
    assert [split for split, _, _ in draw_questions(settings, ["oe"], 0)] == SPLITS


@pytest.mark.parametrize("missing", SPLITS)
def test_a_needed_split_without_questions_is_named(tmp_path: Path, missing: str) -> None:
    settings = write(tmp_path / "mine.jsonl", [split for split in SPLITS if split != missing])
    with pytest.raises(DataError, match=rf"mine\.jsonl has no oe questions in split {missing}; add rows"):
        list(draw_questions(settings, ["oe"], 0))


def test_a_style_without_questions_is_named(tmp_path: Path) -> None:
    settings = write(tmp_path / "mine.jsonl", SPLITS, with_options=False)
    with pytest.raises(DataError, match="has no choice questions in split train"):
        list(draw_questions(settings, ["choice"], 0))


def test_the_identity_changes_with_content_name_and_limits(tmp_path: Path) -> None:
    one = source_identity(write(tmp_path / "one.jsonl", SPLITS))
    assert source_identity(SourceSettings(name=str(one["source"]))) == one
    assert source_identity(SourceSettings(name=str(one["source"]), limits={"test": 3})) != one
    two = source_identity(write(tmp_path / "two.jsonl", [*SPLITS, "test"]))
    assert two["content"] != one["content"]
    facts = source_identity(SourceSettings())
    assert facts == source_identity(SourceSettings())
    assert facts["content"] not in (one["content"], two["content"])


@pytest.mark.parametrize("name", ["hub:mmlu", "", "fact", "questions.csv"])
def test_an_unknown_source_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"source: '{name}' is unknown; allowed: facts, file:PATH"):
        SourceSettings(name=name)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"source\.limits\[test\]: 0 is not allowed; at least 1; source: 'x'"):
        SourceSettings(name="x", limits={"test": 0, "train": 3})


def test_slug() -> None:
    assert SourceSettings().slug == "facts"
    assert SourceSettings(name="file:/a b/c.csv").slug == "file"
