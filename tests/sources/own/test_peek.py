from pathlib import Path
from typing import Any

import pytest

from raycalib.sources import SourceSettings, describe_source
from tests.sources.drawn import ENDINGS, write


def described(path: Path) -> str:
    (line,) = describe_source(SourceSettings(name=f"file:{path}"), 0)
    return line


def rows(indices: list[Any], choices: object = ("w", "x", "y", "z")) -> list[dict[str, Any]]:
    shown = list(choices) if isinstance(choices, tuple) else choices
    return [{"question": f"Q{n}?", "choices": shown, "label": index} for n, index in enumerate(indices)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_places_that_are_never_zero_are_noted(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", rows([1, 2, 3] * 7))
    assert described(path).endswith(
        "'label' is never 0 in the first 21 rows: numbers of options count from 0, so check "
        "that these do not count from 1"
    )


@pytest.mark.parametrize(
    ("indices", "choices"),
    [
        ([1, 2, 3] * 6, ("w", "x", "y", "z")),  # too few to tell
        ([1, 2, 3] * 7 + [0], ("w", "x", "y", "z")),
        (["B", "C"] * 20, ("w", "x", "y", "z")),
        (["1", "2"] * 20, {"text": ["w", "x"], "label": ["1", "2"]}),
        (["x"] * 30, ("w", "x", "y", "z")),
    ],
)
def test_other_places_are_not(tmp_path: Path, indices: list[Any], choices: object) -> None:
    assert "never 0" not in described(write(tmp_path / "mine.jsonl", rows(indices, choices)))


def test_a_file_that_breaks_off_tells_what_comes_before(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", rows([1, 2] * 15))
    with path.open("a") as file:
        file.write('"never closed')
    assert "never 0 in the first 30 rows" in described(path)
