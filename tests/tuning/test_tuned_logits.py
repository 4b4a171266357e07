"""The tuning loss of many architectures against their own forward passes, or the refusal before the first step."""

import copy

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.logits import LogitRule
from raycalib.lm.lora_settings import LoraSettings
from raycalib.prompts import Example, open_ended_context
from raycalib.tuning.batches import TuningRow, collate, tuning_row
from raycalib.tuning.engines import TorchEngine
from raycalib.tuning.layout_check import check_layout, check_tuned_logits
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from tests.lm.architectures import CONFIGS, TARGETS, tiny_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
CPU = torch.device("cpu")
REFUSED = ("falcon",)
"""Its attention does not take packed texts."""
TUNED = [name for name in CONFIGS if name not in REFUSED]


def rows_of(tokenizer: PreTrainedTokenizerFast) -> list[TuningRow]:
    asked = [("France", "Paris", "Paris", 1), ("Peru", "Lima", "Rome", 0), ("a far country", "Havana and more", "", 0)]
    return [
        tuning_row(
            tokenizer,
            place,
            Example(context=open_ended_context(f"What is the capital of {place}?"), target=target),
            answer,
            label,
            512,
        )[0]
        for place, target, answer, label in asked
    ]


def tuned_engine(name: str, tokenizer: PreTrainedTokenizerFast) -> TorchEngine:
    model = tiny_model(name, len(tokenizer))
    settings = LoraSettings(rank=2, dropout=0.0, targets=TARGETS.get(name, ("q_proj", "v_proj")))
    adapted = attach_lora(model, settings, 0)
    with torch.no_grad():
        for part_name, part in adapted.named_parameters():
            if "lora_B" in part_name:
                part.fill_(0.01)
    return TorchEngine(CalibrationObjective(model, query_label_tokens(tokenizer), 1.0, "forward"), TuningSettings())


def check(engine: TorchEngine, row: TuningRow) -> None:
    check_layout(engine, engine.objective, row, CPU)
    check_tuned_logits(engine, engine.objective, row, CPU)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
@pytest.mark.parametrize("name", TUNED)
def test_the_loss_is_that_of_the_models_own_logits(name: str, tiny_llama: TinyLlama) -> None:
    tokenizer = tiny_llama[1]
    rows, engine = rows_of(tokenizer), tuned_engine(name, tokenizer)
    check(engine, rows[0])
    model, objective = engine.objective.causal_lm, engine.objective
    own_query, own_divergence = torch.zeros(()), torch.zeros(())
    base = tiny_model(name, len(tokenizer))
    with torch.no_grad():
        for row in rows:
            pair = model(input_ids=torch.tensor([row.query_ids])).logits[0, -1, list(query_label_tokens(tokenizer))]
            own_query -= pair.log_softmax(-1)[row.label]
            places = slice(len(row.kl_ids) - row.n_target - 1, len(row.kl_ids) - 1)
            log_q, log_p = (
                each(input_ids=torch.tensor([row.kl_ids])).logits[0, places].log_softmax(-1) for each in (model, base)
            )
            own_divergence += (log_p.exp() * (log_p - log_q)).sum()
        states = CalibrationObjective(base, query_label_tokens(tokenizer), 1.0, "forward").eval()(
            collate(rows), wanted="kl_states"
        )
        parts = objective.eval()(collate(rows), states)
    assert float(own_divergence) > 1e-6  # else the comparison says little
    torch.testing.assert_close(parts.query, own_query, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts.divergence, own_divergence, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_one_that_cannot_be_tuned_is_refused_before_the_first_step(name: str, tiny_llama: TinyLlama) -> None:
    engine = tuned_engine(name, tiny_llama[1])
    with pytest.raises(ModelError, match=r"^model: .*cannot be (tuned|read)"):
        check(engine, rows_of(tiny_llama[1])[0])


@pytest.mark.parametrize("name", ["granite", "cohere", "gemma2", "hyperclovax"])
def test_a_rule_that_is_not_known_is_refused(name: str, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tuned_engine(name, tiny_llama[1])
    monkeypatch.setattr("raycalib.lm.logits.logit_rule", lambda model: LogitRule())
    with pytest.raises(ModelError, match=r"in a way that raycalib does not know"):
        check(engine, rows_of(tiny_llama[1])[0])


def test_a_head_with_an_adapter_of_its_own_is_tuned_as_it_is(tiny_llama: TinyLlama) -> None:
    rows, model = rows_of(tiny_llama[1]), copy.deepcopy(tiny_llama[0])
    attach_lora(model, LoraSettings(rank=2, dropout=0.0, targets=("q_proj", "lm_head")), 0)
    labels = query_label_tokens(tiny_llama[1])
    engine = TorchEngine(CalibrationObjective(model, labels, 0.0, "jsd"), TuningSettings())
    engine.objective(collate(rows, with_kl=False)).total.backward()
    of_head = [part.grad for name, part in model.named_parameters() if "lm_head.lora_B" in name]
    assert of_head[0] is not None
    assert float(of_head[0].abs().max()) > 0
    check(engine, rows[0])
