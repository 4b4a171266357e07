from collections import Counter

import pytest

from raycalib.sources.facts.splits import TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.given.splits import VALIDATION, dealing_of, meant, set_of

QUESTIONS = [f"{index}?" for index in range(4000)]


def shares(named: set[str], split: str, by_place: bool = False) -> dict[str, float]:
    dealing = dealing_of(named, by_place, seed=3)
    counts = Counter(dealing.split_of(split, question) for question in QUESTIONS)
    return {name: n / len(QUESTIONS) for name, n in counts.items()}


def test_all_spellings_mean_the_runs_splits() -> None:
    assert [meant(name) for name in ("train", "Training", "TEST", " ")] == [TRAIN, TRAIN, TEST, ""]
    assert {meant(name) for name in ("validation", "val", "valid", "dev")} == {VALIDATION}
    assert [meant(name) for name in (VAL_SELECT, VAL_CALIBRATE, "heldout_families")] == [
        VAL_SELECT,
        VAL_CALIBRATE,
        "heldout_families",
    ]
    assert meant("extra") is None


def test_validation_rows_are_halved_and_train_rows_then_stay() -> None:
    assert shares({TRAIN, VALIDATION}, VALIDATION) == pytest.approx({VAL_SELECT: 0.5, VAL_CALIBRATE: 0.5}, abs=0.03)
    assert shares({TRAIN, VALIDATION}, TRAIN) == {TRAIN: 1.0}
    assert shares({TRAIN, VAL_SELECT}, TRAIN) == {TRAIN: 1.0}


def test_some_train_rows_validate_where_nothing_else_does() -> None:
    expected = {TRAIN: 0.8, VAL_SELECT: 0.1, VAL_CALIBRATE: 0.1}
    assert shares({TRAIN, TEST}, TRAIN) == pytest.approx(expected, abs=0.03)
    assert shares({TRAIN, TEST}, TEST) == {TEST: 1.0}
    assert shares({TRAIN}, TRAIN) == pytest.approx(expected, abs=0.03)


def test_rows_without_splits_and_places_with_train_alone_are_dealt_whole() -> None:
    expected = {TRAIN: 0.5, VAL_SELECT: 0.1, VAL_CALIBRATE: 0.15, TEST: 0.25}
    assert shares({""}, "") == pytest.approx(expected, abs=0.03)
    assert shares({TRAIN}, TRAIN, by_place=True) == pytest.approx(expected, abs=0.03)
    assert shares({"", TRAIN}, TRAIN) == {TRAIN: 1.0}


def test_a_question_has_one_split_whatever_its_order_and_the_seed_deals_anew() -> None:
    one, other = (dealing_of({""}, False, seed) for seed in (1, 2))
    first = [one.split_of("", question) for question in QUESTIONS[:50]]
    assert first == [one.split_of("", question) for question in QUESTIONS[:50]]
    assert first != [other.split_of("", question) for question in QUESTIONS[:50]]


def test_the_training_set_is_three_splits_and_an_evaluation_set_is_one() -> None:
    assert [set_of(split) for split in (TRAIN, VAL_SELECT, VAL_CALIBRATE)] == ["training"] * 3
    assert [set_of(split) for split in (TEST, "mmlu")] == [TEST, "mmlu"]
