import copy

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.packed import LastLayerReads

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
