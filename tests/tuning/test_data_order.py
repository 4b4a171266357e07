from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.tuning.data_order import DataOrder


@given(n_rows=st.integers(1, 40), batch=st.integers(1, 60), seed=st.integers(0, 5))
def test_each_pass_is_a_permutation(n_rows: int, batch: int, seed: int) -> None:
    order = DataOrder(n_rows, batch, seed)
    n_steps = -(-3 * n_rows // batch)
    stream = [row for step in range(n_steps) for row in order.step_rows(step)]
    for number in range(3):
        assert sorted(stream[number * n_rows : (number + 1) * n_rows]) == list(range(n_rows))


def test_passes_and_seeds_are_shuffled_differently() -> None:
    one, other = DataOrder(50, 50, 0), DataOrder(50, 50, 1)
    assert one.step_rows(0) != list(range(50))
    assert one.step_rows(0) != one.step_rows(1)
    assert one.step_rows(0) != other.step_rows(0)


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    in_turn = DataOrder(7, 4, 3)
    expected = [in_turn.step_rows(step) for step in range(30)]
    jumping = DataOrder(7, 4, 3)
    assert [jumping.step_rows(step) for step in reversed(range(30))] == expected[::-1]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 4, 12])
def test_the_workers_rows_are_together_the_steps_rows(world_size: int, batch: int) -> None:
    order = DataOrder(20, batch, 0)
    for step in range(15):
        shares = [order.rank_rows(step, rank, world_size) for rank in range(world_size)]
        assert Counter(row for share in shares for row in share) == Counter(order.step_rows(step))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_worker_reads_the_steps_rows_in_order() -> None:
    order = DataOrder(20, 6, 0)
    assert order.rank_rows(3, 0, 1) == order.step_rows(3)
