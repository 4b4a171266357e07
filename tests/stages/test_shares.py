"""Whose turn it is to compute; no Ray."""

from threading import Event, Thread
import time

import pytest

from raycalib.stages.chains.side_by_side import side_by_side
from raycalib.stages.chains.stopping import StoppedError
from raycalib.stages.pools.shares import Shares

WAITS_S = 60


def wait_until(condition) -> None:
    deadline = time.monotonic() + WAITS_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_more_pools_compute_than_there_are_shares_and_they_come_in_the_order_of_asking() -> None:
    shares, began, waited = Shares(lambda: 2), list[int](), list[int]()
    goes_on = [Event() for _ in range(5)]

    def pool(number: int) -> None:
        with shares.taken(lambda: waited.append(number)):
            began.append(number)
            assert goes_on[number].wait(WAITS_S)

    threads = [Thread(target=pool, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(lambda number=number: len(began) + len(waited) == number + 1)
    assert (began, waited) == ([0, 1], [2, 3, 4])
    goes_on[1].set()
    wait_until(lambda: len(began) == 3)
    goes_on[2].set()
    wait_until(lambda: len(began) == 4)
    assert began == [0, 1, 2, 3]
    for event in goes_on:
        event.set()
    for thread in threads:
        thread.join(WAITS_S)
    assert began == [0, 1, 2, 3, 4]


def test_a_share_is_given_back_by_a_pool_that_fails() -> None:
    shares = Shares(lambda: 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), shares.taken():
            raise ZeroDivisionError


def test_who_waits_ends_with_its_run_and_holds_up_nobody() -> None:
    shares, seen = Shares(lambda: 1), list[str]()

    def waits() -> None:
        try:
            with shares.taken():
                seen.append("taken")
        except StoppedError:
            seen.append("stopped")
            raise

    with shares.taken():
        with pytest.raises(ZeroDivisionError):
            side_by_side({"a": waits, "b": lambda: (time.sleep(0.1), 1 / 0)})
        assert seen == ["stopped"]
    with shares.taken():
        pass


def test_a_node_that_joins_brings_a_share() -> None:
    count = [1]
    shares, began = Shares(lambda: count[0]), Event()

    def second() -> None:
        with shares.taken(lambda: count.__setitem__(0, 2)):
            began.set()

    with shares.taken():
        thread = Thread(target=second)
        thread.start()
        assert began.wait(WAITS_S)
        thread.join(WAITS_S)
