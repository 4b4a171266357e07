"""Chunks of rows: each row in one, of bounded size, and the same whatever becomes of rows elsewhere."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.tuning import row_chunks as module
from raycalib.tuning.row_chunks import drawing_order, row_chunks

IDS = [f"row-{number}" for number in range(5000)]


def named(ids: list[str]) -> set[tuple[str, ...]]:
    return {tuple(ids[place] for place in chunk) for chunk in row_chunks(ids)}


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=300).map(lambda numbers: [str(n) for n in numbers]))
def test_each_row_is_in_one_chunk_in_the_order_of_drawing(ids: list[str]) -> None:
    chunks = row_chunks(ids)
    assert [place for chunk in chunks for place in chunk] == drawing_order(ids)
    assert all(0 < len(chunk) <= module.MOST_ROWS for chunk in chunks)


def test_a_row_less_changes_its_own_chunk_and_few_others() -> None:
    whole = named(IDS)
    assert len(whole) > 5
    assert len(whole - named(IDS[1:])) <= 2
    assert named(IDS[::-1]) == whole


@pytest.mark.parametrize("n", [1, 200, 1024, 4000])
def test_fewer_rows_share_all_chunks_but_the_last(n: int) -> None:
    order = drawing_order(IDS)
    fewer = row_chunks([IDS[place] for place in order[:n]])
    of_all = named(IDS)
    shared = [tuple(IDS[order[place]] for place in chunk) in of_all for chunk in fewer]
    assert all(shared[:-1])
