"""Operations of tuning, by arithmetic that is written out."""

from dataclasses import replace

import pytest

from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.model_shape import ModelShape
from raycalib.tuning.compute_plan import query_tokens, reading_flops, tuning_flops
from raycalib.tuning.memory_plan import PlannedRun

SHAPE = ModelShape(hidden_size=8, intermediate_size=20, n_layers=2, n_heads=2, n_kv_heads=1, head_dim=4, vocab_size=100)
RUN = PlannedRun(
    shape=SHAPE, lora=LoraSettings(rank=1, targets=("q_proj",)), tokens_per_row=10, answer_tokens=2, rows=50
)
WEIGHTS = 2 * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 20)  # of two layers: q, k and v, o, and the MLP's three
ADAPTER = 2 * (8 + 8)  # of rank 1 on q


def test_a_pass_forward_takes_two_operations_for_each_weight_and_token() -> None:
    # attention: two products of 2 operations, 8 numbers wide, over half of 10 positions, in 2 layers: 320 for a token
    assert reading_flops(RUN, 3, 10) == 3 * 10 * (2 * WEIGHTS + 320)
    assert query_tokens(RUN) == 8


def test_tuning_takes_four_for_each_frozen_weight_and_six_for_each_that_is_trained() -> None:
    found = tuning_flops(RUN, steps=5, batch=4, eval_every=2, val_rows=7)
    assert found.steps == 5 * 4 * 10 * (4 * WEIGHTS + 3 * 320 + 6 * ADAPTER)
    assert found.validation == 3 * 7 * 8 * (2 * WEIGHTS + 2 * 2 * 8 * 8)  # after steps 2, 4 and 5, of 8 tokens
    assert found.total == found.steps + found.validation


def test_without_a_comparison_the_true_answer_is_not_read() -> None:
    found = tuning_flops(replace(RUN, compares=False), steps=1, batch=1, eval_every=1, val_rows=1)
    assert found.steps == 8 * (4 * WEIGHTS + 3 * 2 * 2 * 8 * 8 + 6 * ADAPTER)


def test_layers_that_are_computed_again_cost_a_pass_more() -> None:
    once, twice = (
        tuning_flops(replace(RUN, gradient_checkpointing=again), steps=1, batch=1, eval_every=1, val_rows=1).steps
        for again in (False, True)
    )
    assert twice - once == pytest.approx(10 * (2 * WEIGHTS + 320 + 2 * ADAPTER))
