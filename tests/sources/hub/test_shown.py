from typing import Any

import pytest

from raycalib.sources.hub.shown import beginning, sample
from tests.sources.drawn import Drawn, write


def nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [1, 5, 400, 5000])
def test_nesting_of_any_depth_is_shown(depth: int) -> None:
    assert len(sample({"question": nested(depth), "answer": "y"})) < 100


def test_what_is_shown_is_short_whatever_its_size() -> None:
    wide: Any = "x" * 10**6
    for _ in range(6):
        wide = [wide] * 100
    assert len(sample({"a": wide})) == 400
    assert beginning({"a": [1, "é"], "b": None}) == "{'a': [1, '\\xe9'], 'b': None}"
    assert beginning("é\u202e", repr) == "'é\\u202e'"


@pytest.mark.parametrize("depth", [3, 400, 900])
def test_a_row_of_lists_in_lists_is_refused(tmp_path: Any, depth: int) -> None:
    text = '{"question": ' + "[" * depth + "]" * depth + ', "answer": "x"}\n{"question": "Who?", "answer": "He"}\n'
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    drawn = Drawn(f"file:{path}")
    (refused,) = drawn.refused
    assert (refused.row, refused.field, len(drawn.rows)) == (1, "question", 1)
    (tmp_path / "arc").mkdir()
    for split in ("train", "validation", "test"):
        (tmp_path / "arc" / f"{split}.jsonl").write_text(text)
    assert len(Drawn("arc", data_root=str(tmp_path)).refused) == 6


def test_a_struct_in_a_parquet_is_shown(tmp_path: Any) -> None:
    rows = [{"question": {"stem": "Who?", "n": 1}, "answer": "x"}]
    (refused,) = Drawn(f"file:{write(tmp_path / 'mine.parquet', rows)}").refused
    assert "'stem': 'Who?'" in refused.content
