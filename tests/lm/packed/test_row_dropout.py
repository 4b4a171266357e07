import copy
import math

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.packed import RowDropouts
from raycalib.lm.packed.row_dropout import RowDropout

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
P, SIZE = 0.1, 64


@pytest.fixture
def rows(tiny_llama: TinyLlama) -> RowDropouts:
    model = attach_lora(copy.deepcopy(tiny_llama[0]), LoraSettings(rank=2, dropout=P), 0)
    return RowDropouts(model)


def masked(rows: RowDropouts, number: int, seeds: list[int], lengths: list[int]) -> Tensor:
    rows.seeds, rows.lengths = seeds, (lengths, [1] * len(lengths))
    return RowDropout(rows, P, number)(torch.ones(1, sum(lengths), SIZE))[0]


def test_a_row_is_masked_the_same_alone_and_in_any_batch(rows: RowDropouts) -> None:
    whole = masked(rows, 0, [5, 6, 7], [3, 9, 4])
    assert torch.equal(masked(rows, 0, [6], [9]), whole[3:12])
    assert torch.equal(masked(rows, 0, [7, 5], [4, 3]), torch.cat((whole[12:], whole[:3])))


def test_seeds_and_layers_draw_differently(rows: RowDropouts) -> None:
    masks = [masked(rows, number, [seed], [9]) == 0 for number, seed in ((0, 5), (0, 6), (1, 5))]
    assert not any(torch.equal(masks[one], masks[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_the_share_of_zeros_and_the_scale(rows: RowDropouts) -> None:
    n = 4000 * SIZE
    found = masked(rows, 0, [1], [4000])
    dropped = round(P * 65536) / 65536
    assert (found == 0).double().mean().item() == pytest.approx(dropped, abs=5 * math.sqrt(P * (1 - P) / n))
    assert found.unique().tolist() == [0.0, pytest.approx(1 / (1 - dropped))]
    # Each of the four decisions of a random number is taken equally often.
    for lane in range(4):
        share = (found.flatten()[lane::4] == 0).double().mean().item()
        assert share == pytest.approx(dropped, abs=5 * math.sqrt(P * (1 - P) / n * 4))


def test_it_takes_the_place_of_the_adapters_own(tiny_llama: TinyLlama, rows: RowDropouts) -> None:
    model = attach_lora(copy.deepcopy(tiny_llama[0]), LoraSettings(rank=2, dropout=P), 0)
    RowDropouts(model)
    again = RowDropouts(model)
    found = [module for module in model.modules() if isinstance(module, RowDropout)]
    assert len(found) == 2 * model.config.num_hidden_layers
    assert len({module.number for module in found}) == len(found)
    assert all(module.rows is again for module in found)
    assert not any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())


def test_it_is_off_without_seeds_and_in_evaluation(rows: RowDropouts) -> None:
    states = torch.ones(1, 2, SIZE)
    dropout = RowDropout(rows, P, 0)
    assert dropout(states) is states
    rows.seeds, rows.lengths = [1], ([2], [1])
    assert dropout.eval()(states) is states


def test_an_input_that_is_not_the_rows_is_an_error(rows: RowDropouts) -> None:
    rows.seeds, rows.lengths = [1], ([2], [1])
    with pytest.raises(ModelError, match=r"lora\.dropout 0"):
        RowDropout(rows, P, 0)(torch.ones(1, 5, SIZE))
