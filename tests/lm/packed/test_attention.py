"""Packed rows against each text read alone by the model as transformers has it."""

import pytest
import torch
from torch import Tensor
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from raycalib.errors import ModelError
from raycalib.lm.packed import LastLayerReads, PackedRow, no_mask, use_packed_attention
from raycalib.lm.packed.attention import packed_attention

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
}
LATENT = SHAPE | {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "first_k_dense_replace": 3,
}
"""Multi-head latent attention: values are narrower than queries and keys."""
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "mistral with a window": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=5)),
    "gemma 2: soft caps, windows in turn": lambda: Gemma2ForCausalLM(
        Gemma2Config(**SHAPE, sliding_window=5, attn_logit_softcapping=2.0)
    ),
    "qwen 3: normed queries and keys": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
    "deepseek 2: narrow values": lambda: DeepseekV2ForCausalLM(DeepseekV2Config(**LATENT | {"head_dim": 4})),
    "deepseek 3: narrow values": lambda: DeepseekV3ForCausalLM(DeepseekV3Config(**LATENT | {"head_dim": 4})),
}
ROWS = ((9, 6, 4, (8, 5, 9, 12)), (13, 12, 7, (3,)), (2, 1, 2, ()), (3, 0, 0, (2, 0)))
"""Trunk, shared and branch lengths, and places that are read; the last row has no branch."""


def final_states(model: PreTrainedModel, ids: Tensor, **more: object) -> Tensor:
    states: Tensor = model.get_submodule("model")(input_ids=ids, use_cache=False, **more).last_hidden_state
    return states[0]


@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_packed_rows_equal_texts_read_alone(name: str, is_narrow: bool) -> None:
    """Everywhere, or where they are read if the last layer is computed there alone."""
    torch.manual_seed(0)
    model = MODELS[name]().double().eval()
    model.set_attn_implementation("eager")
    ids, positions, rows, alone, read = [], [], [], [], list[int]()
    for n_trunk, n_shared, n_branch, reads in ROWS:
        trunk, branch = torch.randint(64, (1, n_trunk)), torch.randint(64, (1, n_branch))
        ids += [trunk, branch]
        positions += [torch.arange(n_trunk), n_shared + torch.arange(n_branch)]
        read += [sum(row.length for row in rows) + place for place in reads]
        rows.append(PackedRow(n_trunk, n_shared, n_branch, reads))
        alone.append(final_states(model, trunk))
        alone.append(
            final_states(model, torch.cat((trunk[:, :n_shared], branch), dim=1))[n_shared:]
            if n_branch
            else alone[-1][:0]
        )
    use_packed_attention(model)
    if is_narrow:
        LastLayerReads(model.get_submodule("model")).narrow(torch.tensor(read), sum(row.length for row in rows))
    packed = final_states(
        model,
        torch.cat(ids, dim=1),
        position_ids=torch.cat(positions)[None],
        attention_mask=no_mask(torch.device("cpu")),
        packed_rows=rows,
    )
    expected = torch.cat(alone)
    if is_narrow:
        assert not torch.allclose(packed, expected, rtol=1e-6, atol=1e-6)
        packed, expected = packed[read], expected[read]
    torch.testing.assert_close(packed, expected, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_an_ordinary_padded_batch_is_computed_as_before() -> None:
    torch.manual_seed(0)
    model = MODELS["mistral with a window"]().eval()
    ids = torch.randint(64, (2, 12))
    mask = torch.tensor([[1] * 12, [0] * 5 + [1] * 7])
    before = model(input_ids=ids, attention_mask=mask).logits
    use_packed_attention(model)
    assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, before)


def test_attention_sinks_are_refused() -> None:
    states = torch.zeros(1, 1, 2, 4)
    with pytest.raises(ModelError, match="sinks"):
        packed_attention(
            torch.nn.Identity(), states, states, states, None, packed_rows=[PackedRow(2)], s_aux=torch.zeros(1)
        )
