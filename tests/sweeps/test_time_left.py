"""Time and money left, by arithmetic."""

from dataclasses import replace

import pytest

from raycalib.sweeps.time_left import Progress, time_left, time_lines

DONE = Progress(combo="a/oe", steps=100, done=0, is_over=True, is_finished=True, seconds=200.0, devices=2)
WAITS = Progress(combo="a/oe", steps=50)


def test_what_is_left_goes_by_the_pace_of_the_finished_trials() -> None:
    at_work = Progress(combo="a/oe", steps=100, done=40, seconds=90.0, devices=2)
    found = time_left([DONE, at_work, replace(at_work, done=70), WAITS])
    # two seconds for a step: 60, 30 and 50 steps are left
    assert found.taken == pytest.approx((200 + 90 + 90) * 2 / 3600)
    assert found.left == pytest.approx((60 + 30 + 50) * 2 * 2 / 3600)
    assert (found.at_once, found.minutes) == (2, pytest.approx(140 * 2 / 2 / 60))


def test_the_longest_trial_bounds_the_time_on_the_clock() -> None:
    at_work = [Progress(combo="a/oe", steps=100, done=done, seconds=1.0) for done in (0, 90, 90, 90)]
    assert time_left([DONE, *at_work]).minutes == pytest.approx(100 * 2 / 60)


def test_the_pace_is_of_the_same_combo_else_model_else_of_all() -> None:
    slower = replace(DONE, combo="b/oe", seconds=1000.0)
    other = replace(DONE, combo="b/choice", seconds=3000.0)
    known = [DONE, slower, other]

    def left(combo: str) -> float | None:
        return time_left([*known, Progress(combo=combo, steps=9)]).left

    assert left("a/oe") == pytest.approx(9 * 2 * 2 / 3600)
    assert left("b/oe") == pytest.approx(9 * 10 * 2 / 3600)
    assert left("a/choice") == pytest.approx(9 * 2 * 2 / 3600)
    assert left("c/oe") == pytest.approx(9 * 14 * 2 / 3600)
    assert time_left([slower, other, Progress(combo="b/x", steps=9)]).left == pytest.approx(9 * 20 * 2 / 3600)


def test_while_none_is_finished_those_at_work_show_the_pace() -> None:
    begun = Progress(combo="a/oe", steps=100, seconds=5.0)
    assert time_left([begun, WAITS]).left is None
    assert time_left([replace(begun, done=10), WAITS]).left == pytest.approx((90 + 50) * 0.5 / 3600)
    assert time_lines(time_left([begun]), "", None)[1] == "left: not known until a trial has been evaluated"


def test_failed_trials_have_taken_and_leave_nothing_and_probes_take_nothing() -> None:
    failed = Progress(combo="a/oe", steps=100, is_over=True, seconds=3600.0, devices=1)
    probe = Progress(combo="a/oe", steps=0)
    found = time_left([DONE, failed, probe])
    assert (found.taken, found.left) == (pytest.approx(1 + 400 / 3600), 0.0)
    assert len(time_lines(found, "", None)) == 1


def test_trials_that_a_search_has_yet_to_ask_for_are_reckoned_as_the_mean() -> None:
    found = time_left([DONE, replace(DONE, steps=300, seconds=600.0)], n_more=3)
    assert found.left == pytest.approx(3 * 200 * 2 * 2 / 3600)
    assert found.minutes is None


def test_on_processors_there_are_no_dollars() -> None:
    found = time_left([DONE, WAITS])
    assert time_lines(found, "", None) == ["taken so far: 0.11 processor-hours", "left: about 0.056 processor-hours"]
    assert time_lines(found, "H100", 3.0)[1] == "left: about 0.056 GPU-hours, $0.17"
