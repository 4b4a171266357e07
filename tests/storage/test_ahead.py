"""Reading ahead: in order, so many at once, and no more."""

from itertools import islice
import threading
import time

import pytest

from raycalib.storage.ahead import in_order


@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_the_order_of_the_items(at_once: int) -> None:
    def read(number: int) -> int:
        time.sleep(0.02 * (3 - number % 3))  # later ones are sooner done
        return number * number

    assert list(in_order(read, range(12), at_once)) == [number * number for number in range(12)]
    assert list(in_order(read, [], at_once)) == []


def test_no_more_are_read_than_are_wanted_soon() -> None:
    read = list[int]()

    def keep(number: int) -> int:
        read.append(number)
        return number

    results = in_order(keep, range(1000), 4)
    assert list(islice(results, 3)) == [0, 1, 2]
    time.sleep(0.1)
    assert len(read) <= 3 + 4
    results.close()  # type: ignore[attr-defined]
    assert len(read) <= 3 + 4


def test_so_many_are_read_at_once() -> None:
    together = threading.Barrier(4)
    assert list(in_order(lambda _: together.wait(10) >= 0, range(8), 4)) == [True] * 8


def test_an_error_comes_in_its_place_and_ends_the_reading() -> None:
    found = list[int]()
    with pytest.raises(ZeroDivisionError):
        found.extend(in_order(lambda number: 6 // (2 - number), range(100), 4))
    assert found == [3, 6]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]
