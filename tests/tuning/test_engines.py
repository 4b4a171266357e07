import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapters import attach_lora
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.lora_settings import LoraSettings
from raycalib.prompts import Example, open_ended_context
from raycalib.tuning.batches import TuningBatch, TuningRow, collate, tuning_row
from raycalib.tuning.deepspeed_engine import deepspeed_config, make_engine
from raycalib.tuning.engines import MicroBatch, TorchEngine, trainable
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.world import World

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
SETTINGS = TuningSettings(lr=1.0, weight_decay=0.1, max_grad_norm=0.5, lora=LoraSettings(rank=2, dropout=0.0))
LR = 1e-3


def make_objective(tiny: TinyLlama) -> CalibrationObjective:
    model, tokenizer = tiny
    adapted = attach_lora(copy.deepcopy(model), SETTINGS.lora, seed=0).get_base_model()
    return CalibrationObjective(adapted, query_label_tokens(tokenizer), 1.0, "jsd")


def make_batches(tiny: TinyLlama, n: int = 2) -> list[TuningBatch]:
    rows: list[TuningRow] = []
    for place in ("France", "Peru", "Japan")[:n]:
        example = Example(context=open_ended_context(f"What is the capital of {place}?"), target="Lima")
        rows.append(tuning_row(tiny[1], place, example, "Rome", 1, 512)[0])
    return [collate([row], with_kl=False) for row in rows]


def weights(objective: CalibrationObjective) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in trainable(objective).items()}


def micro(batches: list[TuningBatch]) -> list[MicroBatch]:
    return [MicroBatch(batch, None) for batch in batches]


def test_a_step_is_adamw_on_the_clipped_mean_loss(tiny_llama: TinyLlama) -> None:
    ours, plain = make_objective(tiny_llama), make_objective(tiny_llama)
    batches = make_batches(tiny_llama)
    sums = TorchEngine(ours, SETTINGS).step(micro(batches), n_global_rows=2, lr=LR)
    optimizer = torch.optim.AdamW(trainable(plain).values(), lr=LR, weight_decay=0.1)
    losses = [plain(batch).total for batch in batches]
    ((losses[0] + losses[1]) / 2).backward()
    norm = torch.nn.utils.clip_grad_norm_(trainable(plain).values(), 0.5)
    assert norm > 0.5  # else clipping is not tested
    optimizer.step()
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(ours)[name], weight, rtol=1e-4, atol=1e-7)
    assert sums.query == pytest.approx((losses[0] + losses[1]).detach().item(), rel=1e-5)
    assert sums.divergence == 0


def test_a_pass_of_weight_zero_changes_nothing(tiny_llama: TinyLlama) -> None:
    alone, padded = make_objective(tiny_llama), make_objective(tiny_llama)
    batches = make_batches(tiny_llama)
    one = TorchEngine(alone, SETTINGS).step(micro(batches[:1]), n_global_rows=1, lr=LR)
    idle = MicroBatch(batches[1], None, weight=0.0)
    two = TorchEngine(padded, SETTINGS).step([*micro(batches[:1]), idle], n_global_rows=1, lr=LR)
    assert one == two
    for name, weight in weights(alone).items():
        assert torch.equal(weights(padded)[name], weight)


def test_rows_of_other_workers_count_in_the_mean(tiny_llama: TinyLlama) -> None:
    """Twice the global rows halve the gradient, which AdamW's first step does not see but its moments do."""
    one, half = make_objective(tiny_llama), make_objective(tiny_llama)
    settings = TuningSettings(max_grad_norm=1e9, lora=SETTINGS.lora)
    engines = [TorchEngine(objective, settings) for objective in (one, half)]
    for engine, n_rows in zip(engines, (1, 2), strict=True):
        engine.step(micro(make_batches(tiny_llama, 1)), n_global_rows=n_rows, lr=LR)
    whole, halved = (engine.moments() for engine in engines)
    for name in whole:
        factor = 2 if name.startswith("exp_avg/") else 4
        torch.testing.assert_close(halved[name] * factor, whole[name], rtol=1e-5, atol=1e-12)


def test_moments_restored_into_a_new_engine_go_on_the_same_way(tiny_llama: TinyLlama) -> None:
    objective = make_objective(tiny_llama)
    engine = TorchEngine(objective, SETTINGS)
    batches = micro(make_batches(tiny_llama))
    for _ in range(2):
        engine.step(batches, 2, LR)
    other = make_objective(tiny_llama)
    other.load_state_dict(objective.state_dict())
    restored = TorchEngine(other, SETTINGS)
    restored.load_moments({name: tensor.clone() for name, tensor in engine.moments().items()}, steps_done=2)
    for runner in (engine, restored):
        runner.step(batches, 2, LR)
    for name, weight in weights(objective).items():
        assert torch.equal(weights(other)[name], weight)


def test_gradients_do_not_leak_into_the_next_step(tiny_llama: TinyLlama) -> None:
    objective = make_objective(tiny_llama)
    TorchEngine(objective, SETTINGS).step(micro(make_batches(tiny_llama)), 2, LR)
    assert all(part.grad is None for part in objective.parameters())


def test_a_world_of_one_needs_no_deepspeed(tiny_llama: TinyLlama) -> None:
    assert isinstance(make_engine(make_objective(tiny_llama), SETTINGS, World()), TorchEngine)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_bucket_of_gradients_is_no_larger_than_the_adapter(stage: int) -> None:
    config = deepspeed_config(replace(SETTINGS, zero_stage=stage), world_size=2, n_trainable=4096)
    assert config["zero_optimization"]["reduce_bucket_size"] == 4096
