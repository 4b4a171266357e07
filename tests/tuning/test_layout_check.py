import copy

import pytest
import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora
from raycalib.lm.lora_settings import LoraSettings
from raycalib.tuning.batches import TuningRow
from raycalib.tuning.engines import TorchEngine
from raycalib.tuning.layout_check import check_layout
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
ROW = TuningRow(row_id="r", query_ids=tuple(range(5, 17)), kl_ids=(*range(5, 13), 20, 21), n_target=2, label=1)
QUERY_ALONE = TuningRow(row_id="r", query_ids=tuple(range(5, 17)), kl_ids=(), n_target=0, label=1)


def check(model: PreTrainedModel, row: TuningRow) -> None:
    attach_lora(model.eval(), LoraSettings(), 0)
    objective = CalibrationObjective(model, (5, 6), 1.0, "jsd")
    check_layout(TorchEngine(objective, TuningSettings()), objective, row, torch.device("cpu"))


@pytest.mark.parametrize("row", [ROW, QUERY_ALONE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_decoder_of_attention_alone_passes(tiny_llama: TinyLlama, dtype: torch.dtype, row: TuningRow) -> None:
    check(copy.deepcopy(tiny_llama[0]).to(dtype), row)


@pytest.mark.parametrize("row", [ROW, QUERY_ALONE])
def test_a_model_that_reads_one_text_into_the_next_is_refused(row: TuningRow) -> None:
    """A real one: LFM2's convolutions run along the whole pass."""
    torch.manual_seed(0)
    model = Lfm2ForCausalLM(
        Lfm2Config(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            layer_types=["conv", "full_attention"],
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    )
    with pytest.raises(
        ModelError, match=r"Lfm2ForCausalLM reads packed texts differently from texts alone \(by \d+\.\d+"
    ):
        check(model, row)
