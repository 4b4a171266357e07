"""What is said of right answers that no generated answer can equal."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.records import QUESTION
from raycalib.sources.unmet import LINES, LISTS, MARKUP, cause_of, unmet_targets
from raycalib.stages.output import StageOutput
from raycalib.stages.unmet_targets import CountTokens, check_targets
from raycalib.storage import Location, Manifest, write_shard
from tests.test_records import QUESTION_ROW


def questions(tmp_path: Path, targets: Sequence[str | list[str]], style: str = "oe") -> StageOutput:
    rows = []
    for index, target in enumerate(targets):
        first, *others = [target] if isinstance(target, str) else target
        row = QUESTION_ROW | {"row_id": str(index), "style": style, "target": first, "aliases": others or None}
        rows.append(row)
    place = Location(str(tmp_path))
    manifest = Manifest(stage="questions", key="k", config={}, shards=(write_shard(place, 0, rows, QUESTION),))
    return StageOutput(place=place, manifest=manifest, was_done=False)


def words() -> CountTokens:
    return lambda texts: [len(text.split()) for text in texts]


def never() -> CountTokens:
    raise AssertionError("no right answer is long enough to be counted")


def said(
    tmp_path: Path,
    capsys: Any,
    targets: Sequence[str | list[str]],
    load: Callable[[], CountTokens] = never,
    **more: Any,
) -> list[str]:
    check_targets([questions(tmp_path, targets, **more)], 4, [load])
    return list(capsys.readouterr().out.splitlines())


def test_nothing_is_said_of_right_answers_that_can_be_met(tmp_path: Path, capsys: Any) -> None:
    assert said(tmp_path, capsys, ["6", "1,5", "[0)", "a\n"]) == []


def test_a_few_are_named_with_an_example(tmp_path: Path, capsys: Any) -> None:
    lines = said(tmp_path, capsys, ["6"] * 3 + ["[1]", "\\(x", "2\n3"])
    assert lines == [
        "facts: 1 of 6 right answers have several lines, where an answer is the first line that a model writes, such "
        "as '2\\n3'; name another answer column, or have a judge read them (--grader judge)",
        "facts: 1 of 6 right answers look like a list or a struct, written out, such as '[1]'; one text each, or a "
        "list of texts of which any is right, is compared",
        "facts: 1 of 6 right answers look like markup (HTML, LaTeX or Markdown), such as '\\\\(x'; strings are "
        "compared with it as it stands",
    ]


def test_nearly_all_with_several_lines_are_an_error(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(DataError, match=r"^source: facts: 20 of 21 right answers have several lines.*'0\\n1'"):
        said(tmp_path, capsys, [f"{index}\n1" for index in range(20)] + ["6"])
    assert len(said(tmp_path, capsys, [f"{index}\n1" for index in range(18)] + ["6", "7"])) == 1


@pytest.mark.parametrize(("others", "stops"), [(9, True), (10, True), (11, False)])
def test_a_mixture_does_without_one_of_its_sources_that_is_less_than_half(others: int, stops: bool) -> None:
    found = unmet_targets(
        [QUESTION_ROW | {"style": "oe", "source": "solutions", "target": "2\n3"}] * 10
        + [QUESTION_ROW | {"style": "oe", "source": "facts", "target": "6"}] * others
    )
    assert bool(found.fatal()) is stops
    assert len(found.lines()) == 1


def test_what_is_longer_than_an_answer_may_be(tmp_path: Path, capsys: Any) -> None:
    lines = said(tmp_path, capsys, ["one two three four five", "one two three four", "6"], words)
    assert [line.partition(", such as")[0] for line in lines] == [
        "facts: 1 of 3 right answers are longer than max_new_tokens"
    ]
    with pytest.raises(
        DataError, match="are longer than max_new_tokens, such as 'one two three four five'; raise --max"
    ):
        said(tmp_path, capsys, ["one two three four five"] * 3, words)


def test_a_single_long_one_among_many_is_not_named(tmp_path: Path, capsys: Any) -> None:
    assert said(tmp_path, capsys, ["6"] * 100 + ["one two three four five"], words) == []
    assert len(said(tmp_path, capsys, ["6"] * 99 + ["one two three four five"], words)) == 1


def test_one_right_answer_that_can_be_met_is_enough(tmp_path: Path, capsys: Any) -> None:
    assert said(tmp_path, capsys, [["one two three four five", "one"], ["1\n2", "1"], ["[1]", "1"]]) == []
    with pytest.raises(DataError):
        said(tmp_path, capsys, [["one two three four five", "one two three four six"]], words)


def test_letters_of_options_are_not_looked_at(tmp_path: Path, capsys: Any) -> None:
    assert said(tmp_path, capsys, ["a\nb"] * 3, style="choice") == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("<b>Amber</b>", MARKUP),
        ("**Amber**", MARKUP),
        ("\\frac{1}{2}", MARKUP),
        ("[Amber](https://a.b)", MARKUP),
        ("{'a': 1}", LISTS),
        ("['a' 'b']", LISTS),
        ("a\r\nb", LINES),
        ("a < b and c > d", None),
        ("2 * 3 ** 4", None),
        ("C:\\temp", None),
        ("[0, 1)", None),
        ("{x}", None),
    ],
)
def test_causes(text: str, cause: str | None) -> None:
    assert cause_of(text) == cause
