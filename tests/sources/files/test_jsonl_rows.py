from pathlib import Path

import pytest

from raycalib.sources.files.jsonl_rows import read_jsonl
from tests.sources.drawn import Drawn


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"question": "Who?", "answer": "He", "question": "She?"}', "question"),
        ('{"question": "Who?", "answer": "He", "options": {"A": "x", "A": "y"}}', "A"),
        ('{"a\\nb": 1, "a\\nb": 1}', "a\\nb"),
    ],
)
def test_a_key_given_twice_refuses_its_row(tmp_path: Path, line: str, key: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f'{{"question": "When?", "answer": "Now"}}\n{line}\n')
    (refused,) = Drawn(f"file:{path}").refused
    assert refused.reason == f"has the key '{key}' several times"


def test_rows_are_numbered_by_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b'\n{"a": 1}\n  \n\n{"a": \n\xef\xbb\xbf{"a": 2}\n')
    assert [(row.number, bool(row.fault)) for row in read_jsonl(path, None)] == [(2, False), (5, True), (6, False)]
