from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
import torch

from raycalib.lm.batching import length_batches, pad_left, pad_right


def test_written_out() -> None:
    # Sorted lengths 1 2 | 4 | 5: two rows of 2 fit into 6 tokens, 4 with another needs 8.
    assert list(length_batches([5, 1, 4, 2], max_batch_tokens=6)) == [[1, 3], [2], [0]]
    assert list(length_batches([5, 1, 4, 2], max_batch_tokens=20)) == [[1, 3, 2, 0]]
    assert list(length_batches([], max_batch_tokens=8)) == []


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert list(length_batches([9, 8, 1], max_batch_tokens=4)) == [[2], [1], [0]]


@given(st.lists(st.integers(1, 50)), st.integers(1, 200))
def test_budget_and_completeness(lengths: list[int], budget: int) -> None:
    batches = list(length_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    in_order = [lengths[index] for batch in batches for index in batch]
    assert in_order == sorted(in_order)


@given(st.lists(st.integers(1, 50), min_size=2), st.integers(1, 200))
def test_no_two_batches_in_turn_could_be_one(lengths: list[int], budget: int) -> None:
    batches = list(length_batches(lengths, budget))
    for one, following in pairwise(batches):
        assert (len(one) + 1) * lengths[following[0]] > budget


def test_padding_on_the_right() -> None:
    assert pad_right([[5], [6, 7, 8]], pad_id=9).tolist() == [[5, 9, 9], [6, 7, 8]]


def test_padding_on_the_left_and_its_mask() -> None:
    ids, mask = pad_left([[5], [6, 7, 8]], pad_id=9)
    assert ids.tolist() == [[9, 9, 5], [6, 7, 8]]
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert ids.dtype == mask.dtype == torch.long
