"""What counts as bad, when a stage stops, and what is said; without Ray."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.records import LABELLED
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools.bounds import Bounds, Tally, check_bounds, count_rows, what_next
from raycalib.storage import Location, Manifest, write_shard
from tests.stages.answers import answer

LABELS: dict[str, Any] = {
    "grader": "judge", "judge": "m", "judge_prompt": "strict-3", "judged_on": None, "verdict": "x", "retryable": False,
}  # fmt: skip


def labelled(row_id: str, label: int | None = 1, reason: str | None = None, error: str | None = None) -> dict[str, Any]:
    return answer(row_id, "a", "b", error=error) | LABELS | {"query_label": label, "unscored_reason": reason}


def output(tmp_path: Path, failed: int, unscored: int, right: int) -> StageOutput:
    rows = [labelled(f"f{i}", None, "no answer: out of memory", f"out of memory {i}") for i in range(failed)]
    rows += [labelled(f"u{i}", None, f"the judge's first word is 'Maybe{i}'") for i in range(unscored)]
    rows += [labelled(f"r{i}") for i in range(right)]
    place = Location(str(tmp_path))
    counts = {"out": len(rows), "errors": failed, "unscored": failed + unscored}
    manifest = Manifest(
        stage="labelled", key="k", config={}, shards=(write_shard(place, 0, rows, LABELLED),), counts=counts
    )
    return StageOutput(place=place, manifest=manifest, was_done=True)


@pytest.mark.parametrize(("failed", "unscored"), [(0, 0), (5, 20), (5, 0), (0, 20)])
def test_shares_up_to_the_bounds_are_allowed(tmp_path, failed: int, unscored: int) -> None:
    check_bounds(output(tmp_path, failed, unscored, 100 - failed - unscored), "labelled m", Bounds())


def test_one_more_failed_row_is_said_with_the_first_cause_and_the_flag(tmp_path) -> None:
    said = r"labelled m: 6 of 100 rows failed \(6.0%; --max-failed allows 5.0%\), the first: out of memory 0; .*kept"
    with pytest.raises(StageError, match=said):
        check_bounds(output(tmp_path, 6, 0, 94), "labelled m", Bounds())
    check_bounds(output(tmp_path, 6, 0, 94), "labelled m", Bounds(max_failed=0.06))


def test_one_more_unscored_row_is_said_and_rows_that_failed_are_not_counted_twice(tmp_path) -> None:
    said = r"21 of 100 rows are unscored \(21.0%; --max-unscored allows 20.0%\).*'Maybe0'"
    with pytest.raises(StageError, match=said):
        check_bounds(output(tmp_path, 5, 21, 74), "labelled m", Bounds())
    check_bounds(output(tmp_path, 5, 21, 74), "labelled m", Bounds(max_unscored=0.21))


def test_an_empty_stage_is_within_all_bounds(tmp_path) -> None:
    check_bounds(output(tmp_path, 0, 0, 0), "labelled m", Bounds(max_failed=0.0, max_unscored=0.0))


def test_rows_to_be_asked_again_are_not_unscored_for_good() -> None:
    tally = Tally()
    count_rows(
        tally, [labelled("a", None, "busy") | {"retryable": True}, labelled("b", None, "'Maybe'"), labelled("c")]
    )
    assert tally == Tally(shards=1, rows=3, failed=0, unscored=1, error="", reason="'Maybe'")


@pytest.mark.parametrize(
    ("tally", "stops"),
    [
        (Tally(shards=1, rows=256, failed=256), False),  # one shard alone may be the odd one
        (Tally(shards=2, rows=63, failed=63), False),
        (Tally(shards=2, rows=64, failed=32), False),
        (Tally(shards=2, rows=64, failed=33), True),
        (Tally(shards=3, rows=300, unscored=151), True),
        (Tally(shards=3, rows=300, unscored=150), False),
    ],
)
def test_a_stage_stops_early_where_most_rows_of_its_first_shards_are_bad(tally: Tally, stops: bool) -> None:
    assert bool(tally.early_problem(Bounds())) is stops


def test_a_larger_bound_holds_early_as_well() -> None:
    tally = Tally(shards=2, rows=100, failed=90, error="e")
    assert tally.early_problem(Bounds(max_failed=0.8))
    assert not tally.early_problem(Bounds(max_failed=0.9))
    assert not replace(tally, failed=0, unscored=90).early_problem(Bounds(max_unscored=1.0))


@pytest.mark.parametrize("name", ["max_failed", "max_unscored"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_bound_is_a_share(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: .* is not allowed; a share from 0 to 1"):
        Bounds(**{name: value})


def test_shards_that_were_not_made_are_done_by_the_same_command_and_nothing_is_deleted(tmp_path: Path) -> None:
    """A server that is down fails whole shards, of which nothing is written; bad rows that are written stay."""
    place = Location(str(tmp_path))
    again = what_next(Tally(shards=2, rows=512, failed=512, lost=512), place)
    assert again.endswith("mend the cause and run the same command again to do the rest")
    assert "delete" not in again
    assert what_next(Tally(shards=2, rows=512, failed=512, lost=200), place).endswith("and delete that directory")
