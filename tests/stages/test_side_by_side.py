"""Functions in threads: order, errors that cost one, errors that end all; no Ray."""

from collections.abc import Callable
import os
import signal
import subprocess
import sys
from threading import Event, current_thread, main_thread
import time

import pytest

from raycalib.errors import DataError, ModelError
from raycalib.stages.chains import side_by_side as module
from raycalib.stages.chains.first_thread import in_first_thread
from raycalib.stages.chains.side_by_side import side_by_side, together
from raycalib.stages.chains.stopping import StoppedError, check_stopped

WAITS_S = 60


def meeting(mine: Event, others: Event) -> Callable[[], str]:
    """A function that ends only where another one is at work at the same time."""

    def run() -> str:
        mine.set()
        assert others.wait(WAITS_S)
        return current_thread().name

    return run


def until_stopped(seen: list[str]) -> None:
    deadline = time.monotonic() + WAITS_S
    try:
        while time.monotonic() < deadline:
            check_stopped()
            time.sleep(0.01)
    except StoppedError:
        seen.append("stopped")
        raise


def fail(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


def test_functions_run_at_once_and_results_come_by_name_in_order() -> None:
    a, b = Event(), Event()
    done, failed = side_by_side({"b": meeting(b, a), "a": meeting(a, b)})
    assert list(done) == ["b", "a"]
    assert done["a"] != done["b"]
    assert failed == {}
    a, b = Event(), Event()
    assert len(set(together(meeting(a, b), meeting(b, a)))) == 2


def test_no_more_than_so_many_are_at_work_and_they_begin_in_order() -> None:
    began, at_work, most = list[int](), set[int](), list[int]()

    def job(number: int) -> Callable[[], int]:
        def run() -> int:
            began.append(number)
            at_work.add(number)
            most.append(len(at_work))
            time.sleep(0.02)
            at_work.discard(number)
            return number

        return run

    done, _ = side_by_side({str(number): job(number) for number in range(8)}, at_once=2)
    assert list(done.values()) == list(range(8))
    assert max(most) == 2
    assert all(began.index(number) <= number + 1 for number in range(8))


def test_one_at_once_is_in_the_thread_that_calls() -> None:
    done, _ = side_by_side({"a": current_thread, "b": current_thread}, at_once=1)
    assert set(done.values()) == {main_thread()}
    assert side_by_side({"a": current_thread})[0] == {"a": main_thread()}


@pytest.mark.parametrize("at_once", [0, 1, 2])
def test_an_error_that_is_told_costs_its_own_chain(at_once: int) -> None:
    jobs = {"a": lambda: 1, "b": fail(ModelError("no weights")), "c": lambda: 3}
    done, failed = side_by_side(jobs, at_once)
    assert done == {"a": 1, "c": 3}
    assert {name: str(error) for name, error in failed.items()} == {"b": "no weights"}


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault of ours"), KeyboardInterrupt(), SystemExit(3)])
def test_any_other_error_ends_the_others_and_starts_no_more(error: BaseException) -> None:
    seen = list[str]()
    jobs = {"a": lambda: until_stopped(seen), "b": fail(error), "c": lambda: seen.append("c")}
    with pytest.raises(type(error)):
        side_by_side(jobs, at_once=2)
    assert seen == ["stopped"]


def test_ctrl_c_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDS_WITHIN_S", WAITS_S)
    seen = list[str]()
    with pytest.raises(KeyboardInterrupt):
        side_by_side({"a": lambda: until_stopped(seen), "b": lambda: os.kill(os.getpid(), signal.SIGINT)})
    assert seen == ["stopped"]


def test_what_runs_inside_of_another_ends_with_it() -> None:
    seen = list[str]()
    jobs = {
        "a": lambda: together(lambda: until_stopped(seen), lambda: until_stopped(seen)),
        "b": lambda: (time.sleep(0.1), fail(ZeroDivisionError())()),
    }
    with pytest.raises(ZeroDivisionError):
        side_by_side(jobs)
    assert seen == ["stopped", "stopped"]


def test_of_a_few_together_each_is_done_before_the_first_error_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    seen = list[str]()

    def late() -> None:
        time.sleep(0.1)
        seen.append("done")

    with pytest.raises(DataError, match="the first"):
        together(fail(DataError("the first")), late, fail(DataError("the second")))
    assert seen == ["done"]
    assert "the second" in capsys.readouterr().out


def test_a_function_that_does_not_end_is_left_behind_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDS_WITHIN_S", 0.2)
    goes_on = Event()
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        side_by_side({"a": lambda: goes_on.wait(WAITS_S), "b": fail(ZeroDivisionError())})
    assert time.monotonic() - began < WAITS_S / 2
    goes_on.set()


def test_the_process_ends_though_a_function_does_not() -> None:
    program = (
        "import time\n"
        "from raycalib.stages.chains import side_by_side as s\n"
        "s.ENDS_WITHIN_S = 0.2\n"
        "s.side_by_side({'a': lambda: time.sleep(600), 'b': lambda: 1 / 0})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_what_must_outlive_a_thread_is_called_in_the_first_one() -> None:
    """Ray's processes end with the thread that started them."""
    seen = list[object]()

    def deep() -> None:
        in_first_thread(lambda: seen.append(current_thread()))

    def fails() -> None:
        in_first_thread(fail(ModelError("not started")))

    _, failed = side_by_side({"a": lambda: together(deep, deep), "b": deep, "c": fails})
    assert seen == [main_thread()] * 3
    assert str(failed["c"]) == "not started"
    in_first_thread(lambda: seen.append("here"))
    assert seen[-1] == "here"
