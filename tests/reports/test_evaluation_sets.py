from typing import Any

import pytest

from raycalib.reports.evaluation_sets import all_sets, in_every_set, main_sets, main_split


@pytest.mark.parametrize(
    ("report", "split"),
    [
        ({"summary": [{"split": "heldout_families"}, {"split": "test"}]}, "test"),
        ({"summary": [{"split": "heldout_families"}]}, "heldout_families"),
        ({"summary": [], "reliability": [{"split": "heldout_families"}]}, "heldout_families"),
        ({"summary": [{"split": "mmlu"}, {"split": "heldout_families"}]}, "heldout_families"),
        ({"summary": [{"split": "mmlu"}, {"split": "arc"}]}, "mmlu"),
        ({"summary": [{"split": "test_fresh_entities"}]}, "test"),
        ({"summary": [{"model": "m"}]}, "test"),
        ({}, "test"),
    ],
)
def test_the_main_split_is_test_or_else_the_first_that_has_rows(report: dict[str, Any], split: str) -> None:
    assert main_split(report) == split


def test_the_datasets_own_come_first_and_others_as_they_occur() -> None:
    rows = [{"split": name} for name in ("nobody_knows", "heldout_families", "mmlu", "test", "test_fresh_entities")]
    assert all_sets(rows) == ["test", "test_fresh_entities", "heldout_families", "nobody_knows", "mmlu"]
    assert main_sets(rows) == ["test", "heldout_families", "nobody_knows", "mmlu"]


def test_a_combo_that_failed_before_its_sets_is_a_hole_in_each() -> None:
    hole = {"model": "m", "style": "oe", "method": "probe", "n": 0, "reason": "out of memory"}
    rows = [{"model": "a", "style": "oe", "method": "probe", "split": split} for split in ("arc", "test")]
    assert in_every_set([hole, *rows]) == [*rows, hole | {"split": "test"}, hole | {"split": "arc"}]
    own = hole | {"split": "arc", "n": 3}
    assert in_every_set([*rows, own, hole | {"split": None}]) == [*rows, own, hole | {"split": "test"}]
    assert in_every_set([hole]) == [hole]
