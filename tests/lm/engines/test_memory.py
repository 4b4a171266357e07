import pytest
import torch

from raycalib.lm.engines.memory import TokenBudget, in_batches, is_out_of_memory


def test_only_running_out_of_memory_counts() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate")
    )
    for text in ("CUDA error: out of memory", "CUDA driver error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED when ca"):
        assert is_out_of_memory(torch.AcceleratorError(text))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_what_the_allocator_of_this_torch_raises_counts() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_a_batch_that_runs_out_is_made_again_in_halves() -> None:
    tried: list[list[int]] = []

    def at_most_two(batch: list[int]) -> list[str]:
        tried.append(batch)
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return [f"r{index}" for index in batch]

    budget = TokenBudget(40)
    lengths = dict.fromkeys(range(5, 13), 5)
    # 8 rows of 5 fit into 40; 4 into 20; 2 into 10.
    assert in_batches(lengths, budget, at_most_two) == {index: f"r{index}" for index in lengths}
    assert (budget.tokens, budget.n_halved) == (10, 2)
    assert [len(batch) for batch in tried] == [8, 4, 2, 2, 2, 2]


def test_a_row_that_does_not_fit_alone_has_no_result_and_costs_no_other() -> None:
    def without_seven(batch: list[int]) -> list[int]:
        if 7 in batch:
            raise torch.OutOfMemoryError
        return batch

    budget = TokenBudget(8)
    found = in_batches(dict.fromkeys(range(8), 1), budget, without_seven)
    assert found == {**{index: index for index in range(7)}, 7: None}
    assert budget.tokens == 1  # 8 → 4 → 2 → 1: row 7 was in the last batch each time


def test_another_error_is_raised_and_the_budget_stays() -> None:
    def broken(batch: list[int]) -> list[int]:
        raise RuntimeError("device-side assert")

    budget = TokenBudget(100)
    with pytest.raises(RuntimeError, match="device-side assert"):
        in_batches({0: 1, 1: 1}, budget, broken)
    assert (budget.tokens, budget.n_halved) == (100, 0)


def test_nothing_to_do() -> None:
    assert in_batches({}, TokenBudget(1), lambda batch: batch) == {}
