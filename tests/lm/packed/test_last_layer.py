import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.packed import LastLayerReads, reading_alone

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
READ = torch.tensor([7, 2, 3])
IDS = torch.arange(20, 30)[None]


def states_of(model: LlamaForCausalLM) -> Tensor:
    states: Tensor = model.get_submodule("model")(input_ids=IDS, use_cache=False).last_hidden_state
    return states[0]


def test_what_is_read_is_unchanged_and_so_are_its_gradients(tiny_llama: TinyLlama) -> None:
    whole, narrowed = (copy.deepcopy(tiny_llama[0]).double() for _ in range(2))
    reads = LastLayerReads(narrowed.get_submodule("model"))
    reads.narrow(READ, IDS.shape[1])
    found = []
    for model in (whole, narrowed):
        states = states_of(model)
        states[READ].square().sum().backward()
        found.append((states[READ], {name: part.grad for name, part in model.named_parameters()}))
    (all_states, all_grads), (read_states, read_grads) = found
    torch.testing.assert_close(read_states, all_states)
    for name, gradient in all_grads.items():
        if gradient is not None:
            torch.testing.assert_close(read_grads[name], gradient)


@torch.no_grad()
def test_the_last_layer_works_on_what_is_read_alone(tiny_llama: TinyLlama) -> None:
    model = copy.deepcopy(tiny_llama[0])
    reads = LastLayerReads(model.get_submodule("model"))
    seen: dict[str, int] = {}
    for name, module in model.get_submodule("model").named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].shape[1]}))
    reads.narrow(READ, IDS.shape[1])
    states_of(model)
    narrowed = {name for name, n_tokens in seen.items() if n_tokens == len(READ)}
    last = f"layers.{model.config.num_hidden_layers - 1}"
    parts = ("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    assert {f"{last}.{part}" for part in parts} <= narrowed <= {name for name in seen if name.startswith(last)}
    assert seen[f"{last}.self_attn.k_proj"] == IDS.shape[1]
    reads.widen()
    states_of(model)
    assert set(seen.values()) == {IDS.shape[1]}


@torch.no_grad()
def test_each_row_has_places_of_its_own(tiny_llama: TinyLlama) -> None:
    decoder = copy.deepcopy(tiny_llama[0]).double().get_submodule("model")
    ids, places = torch.arange(20, 50).view(3, 10), torch.tensor([[9, 2], [0, 5], [3, 4]])
    rows = torch.arange(3)[:, None]
    whole = decoder(input_ids=ids, use_cache=False).last_hidden_state
    with reading_alone(decoder, places, 10):
        narrowed = decoder(input_ids=ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(narrowed[rows, places], whole[rows, places], rtol=1e-12, atol=1e-12)
    others = torch.ones(3, 10, dtype=torch.bool).index_put((rows, places), torch.tensor(False))
    assert (narrowed[others] != whole[others]).any(dim=-1).all()  # else the layer was computed for all
    assert torch.equal(decoder(input_ids=ids, use_cache=False).last_hidden_state, whole)  # and left as it was found


@torch.no_grad()
def test_the_layer_is_left_as_it_was_where_a_pass_fails(tiny_llama: TinyLlama) -> None:
    decoder = copy.deepcopy(tiny_llama[0]).get_submodule("model")
    whole = decoder(input_ids=IDS, use_cache=False).last_hidden_state
    with pytest.raises(RuntimeError, match="memory"), reading_alone(decoder, READ[None], IDS.shape[1]):
        raise RuntimeError("out of memory")
    assert torch.equal(decoder(input_ids=IDS, use_cache=False).last_hidden_state, whole)
