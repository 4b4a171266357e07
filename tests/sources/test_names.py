import pytest

from raycalib.errors import ConfigError
from raycalib.sources.names import SourcePart, parse_source


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("facts", [("facts", None)]),
        ("arc:500", [("arc", 500)]),
        ("mmlu:anatomy", [("mmlu:anatomy", None)]),
        ("mmlu:anatomy:7+arc", [("mmlu:anatomy", 7), ("arc", None)]),
        ("eval:mmlu_pro:9", [("eval:mmlu_pro", 9)]),
        ("all_20k_uniform+eval:mmlu", [("all_20k_uniform", None), ("eval:mmlu", None)]),
        ("file:/a b/c:d.csv", [("file:/a b/c:d.csv", None)]),
        ("file:a+b.csv:3+arc", [("file:a+b.csv", 3), ("arc", None)]),
        ("file:a.csv+file:b.csv", [("file:a.csv", None), ("file:b.csv", None)]),
        ("file:a.txt+file:b.csv", [("file:a.txt", None), ("file:b.csv", None)]),
        ("file:v1.csv.jsonl", [("file:v1.csv.jsonl", None)]),
        ("hub:org/na-me.v2:easy:5", [("hub:org/na-me.v2:easy", 5)]),
    ],
)
def test_names_and_limits(text: str, parts: list[tuple[str, int | None]]) -> None:
    assert parse_source(text) == tuple(SourcePart(*part) for part in parts)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("arc+", "source: '' is unknown; allowed: facts, file:PATH"),
        ("acr", r"'acr' is unknown; .*; did you mean arc"),
        ("mmlu", r"'mmlu' is unknown; .*eval:mmlu"),
        ("file:", "source: 'file:' is unknown"),
        ("hub:mmlu", "source: 'hub:mmlu' is unknown"),
        ("arc:0", "source: arc:0 takes no rows; at least 1"),
        ("arc+boolq+arc:5", "source: 'arc' is named twice"),
        ("x+y", "'x' is unknown.*; source: 'y' is unknown"),
    ],
)
def test_all_problems_are_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_source(text)
