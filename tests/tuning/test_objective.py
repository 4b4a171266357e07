"""The one shared-prefix pass against the plain way: one padded pass per text, and another for the base model."""

from collections.abc import Sequence
import copy
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.adapters import attach_lora
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.lora_settings import LoraSettings
from raycalib.prompts import Example, choice_context, open_ended_context
from raycalib.tuning.batches import TuningRow, collate, tuning_row
from raycalib.tuning.objective import CalibrationObjective, LossParts
from raycalib.tuning.settings import KL_KINDS, KlKind

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
PAD = 3
DECAY = 0.7
kinds = pytest.mark.parametrize("kind", KL_KINDS)


class Setup(NamedTuple):
    """Base model, adapted model, label tokens, and rows of different lengths.

    Both models are in float64, so that what is left of the differences is the losses' own float32.
    """

    base: LlamaForCausalLM
    adapted: LlamaForCausalLM
    labels: tuple[int, int]
    rows: list[TuningRow]


@pytest.fixture(scope="module")
def setup(tiny_llama: TinyLlama) -> Setup:
    base, tokenizer = copy.deepcopy(tiny_llama[0]).double(), tiny_llama[1]
    peft_model = attach_lora(copy.deepcopy(base), LoraSettings(rank=4, dropout=0.0, targets=("q_proj", "v_proj")), 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in peft_model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    peft_model.double().eval()
    return Setup(base, peft_model.get_base_model(), query_label_tokens(tokenizer), example_rows(tokenizer))


def example_rows(tokenizer: PreTrainedTokenizerFast) -> list[TuningRow]:
    """Right, wrong and empty answers, both styles, one row cut on the left."""
    rows = []
    asked = [("France", "Paris", "Paris", 1), ("Peru", "Lima", "Rome", 0), ("a far country", "Havana and more", "", 0)]
    for place, target, answer, label in asked:
        example = Example(context=open_ended_context(f"What is the capital of {place}?"), target=target)
        rows.append(tuning_row(tokenizer, place, example, answer, label, 512)[0])
    context = choice_context("What is the capital of Italy?", ["Rome", "Oslo"])
    for answer, label in (("a", 1), ("b", 0)):
        example = Example(context=context, target="a")
        rows.append(tuning_row(tokenizer, answer, example, answer, label, 512)[0])
    rows.append(tuning_row(tokenizer, "cut", Example(context=context, target="a"), "b", 0, 50)[0])
    return rows


def objective_of(setup: Setup, kind: KlKind, decay: float = DECAY) -> CalibrationObjective:
    return CalibrationObjective(setup.adapted, setup.labels, decay, kind)


def base_states(setup: Setup, rows: Sequence[TuningRow]) -> Tensor:
    """The reference's states as the trainer computes them: the objective's own pass over the base model."""
    return CalibrationObjective(setup.base, setup.labels, DECAY, "jsd")(collate(rows), wanted="kl_states").detach()


def padded_logits(model: LlamaForCausalLM, texts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Logits of each text's own positions, from one right-padded batch with an ordinary attention mask."""
    width = max(map(len, texts))
    ids = torch.tensor([[*text, *[PAD] * (width - len(text))] for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return [row[: len(text)] for row, text in zip(logits, texts, strict=True)]


def divergence_by_hand(tuned: Tensor, base: Tensor, kind: KlKind) -> Tensor:
    q, p = tuned.softmax(dim=-1), base.detach().softmax(dim=-1)

    def kl(left: Tensor, right: Tensor) -> Tensor:
        return (left * (left / right).log()).sum()

    middle = (p + q) / 2
    return {"forward": kl(p, q), "reverse": kl(q, p), "jsd": (kl(p, middle) + kl(q, middle)) / 2}[kind]


def plain_losses(setup: Setup, rows: Sequence[TuningRow], kind: KlKind) -> tuple[Tensor, Tensor]:
    """Summed query loss and divergence from separate passes."""
    query = torch.zeros(())
    for row, logits in zip(rows, padded_logits(setup.adapted, [row.query_ids for row in rows]), strict=True):
        query = query - logits[-1, list(setup.labels)].log_softmax(dim=-1)[row.label]
    divergence = torch.zeros(())
    texts = [row.kl_ids for row in rows]
    with torch.no_grad():
        of_base = padded_logits(setup.base, texts)
    for row, tuned, base in zip(rows, padded_logits(setup.adapted, texts), of_base, strict=True):
        for place in range(len(row.kl_ids) - row.n_target - 1, len(row.kl_ids) - 1):
            divergence = divergence + divergence_by_hand(tuned[place], base[place], kind)
    return query, divergence


def gradients(setup: Setup, loss: Tensor) -> dict[str, Tensor]:
    setup.adapted.zero_grad()
    loss.backward()
    return {name: part.grad.clone() for name, part in setup.adapted.named_parameters() if part.grad is not None}


def one_pass(setup: Setup, rows: Sequence[TuningRow], kind: KlKind) -> LossParts:
    parts: LossParts = objective_of(setup, kind)(collate(rows), base_states(setup, rows))
    return parts


def check_close(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert float((left[name] - right[name]).abs().max()) <= 1e-5 * float(right[name].abs().max())


@kinds
def test_one_pass_equals_separate_passes(setup: Setup, kind: KlKind) -> None:
    parts = one_pass(setup, setup.rows, kind)
    query, divergence = plain_losses(setup, setup.rows, kind)
    assert divergence.item() > 0.01  # else the comparison says little
    torch.testing.assert_close(parts.query, query, rtol=1e-5, atol=1e-6, check_dtype=False)
    torch.testing.assert_close(parts.divergence, divergence, rtol=1e-4, atol=1e-6, check_dtype=False)
    torch.testing.assert_close(parts.total, query + DECAY * divergence, rtol=1e-5, atol=1e-6, check_dtype=False)
    assert parts.n_rows == len(setup.rows)


@kinds
def test_gradients_equal_those_of_separate_passes(setup: Setup, kind: KlKind) -> None:
    ours = gradients(setup, one_pass(setup, setup.rows, kind).total)
    query, divergence = plain_losses(setup, setup.rows, kind)
    plain = gradients(setup, query + DECAY * divergence)
    assert len(plain) == 2 * 2 * 2
    assert all("lora_" in name for name in plain)
    assert min(float(part.abs().max()) for part in plain.values()) > 1e-3
    check_close(ours, plain)


@kinds
def test_two_halves_add_up_to_the_whole(setup: Setup, kind: KlKind) -> None:
    whole = one_pass(setup, setup.rows, kind)
    halves = [one_pass(setup, rows, kind) for rows in (setup.rows[:2], setup.rows[2:])]
    for name in ("total", "query", "divergence"):
        summed = sum(getattr(half, name) for half in halves)
        torch.testing.assert_close(getattr(whole, name), summed, rtol=1e-5, atol=1e-6, check_dtype=False)
    together = gradients(setup, whole.total)
    apart = gradients(setup, sum((half.total for half in halves), torch.zeros(())))
    check_close(together, apart)


def test_the_order_of_rows_does_not_matter(setup: Setup) -> None:
    backwards = one_pass(setup, setup.rows[::-1], "jsd")
    torch.testing.assert_close(
        backwards.total, one_pass(setup, setup.rows, "jsd").total, rtol=1e-5, atol=1e-6, check_dtype=False
    )


def test_the_branches_do_not_see_each_other(setup: Setup) -> None:
    row = setup.rows[1]
    other_target = TuningRow(
        row_id="r", query_ids=row.query_ids, kl_ids=(*row.kl_ids[:-1], 300), n_target=1, label=row.label
    )
    other_query = TuningRow(
        row_id="r", query_ids=(*row.query_ids[:-1], 300), kl_ids=row.kl_ids, n_target=row.n_target, label=row.label
    )
    plain = one_pass(setup, [row], "jsd")
    assert one_pass(setup, [other_target], "jsd").query.item() == pytest.approx(plain.query.item(), rel=1e-6)
    assert one_pass(setup, [other_query], "jsd").divergence.item() == pytest.approx(plain.divergence.item(), rel=1e-5)
    assert one_pass(setup, [other_query], "jsd").query.item() != pytest.approx(plain.query.item(), rel=1e-3)


def test_without_a_reference_or_its_weight_the_divergence_is_left_out(setup: Setup) -> None:
    query, _ = plain_losses(setup, setup.rows, "jsd")
    without = objective_of(setup, "jsd")(collate(setup.rows, with_kl=False), None)
    weightless = objective_of(setup, "jsd", decay=0.0)(collate(setup.rows), base_states(setup, setup.rows))
    for parts in (without, weightless):
        assert parts.divergence.item() == 0
        torch.testing.assert_close(parts.total, query, rtol=1e-5, atol=1e-6, check_dtype=False)


@kinds
def test_an_adapter_that_changes_nothing_has_no_divergence(setup: Setup, kind: KlKind) -> None:
    fresh = CalibrationObjective(setup.base, setup.labels, DECAY, kind)
    parts = fresh(collate(setup.rows), base_states(setup, setup.rows))
    assert parts.divergence.item() == pytest.approx(0, abs=1e-5)


@torch.no_grad()
def test_query_logits_are_those_of_a_plain_pass(setup: Setup) -> None:
    objective = objective_of(setup, "jsd")
    expected = [
        logits[-1, list(setup.labels)] for logits in padded_logits(setup.adapted, [row.query_ids for row in setup.rows])
    ]
    for with_kl in (True, False):
        found = objective(collate(setup.rows, with_kl), wanted="query_logits")
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-5, check_dtype=False)


def test_a_coin_flip_costs_log_two_per_row(setup: Setup) -> None:
    same = CalibrationObjective(setup.adapted, (setup.labels[0], setup.labels[0]), 0.0, "jsd")
    parts = same(collate(setup.rows, with_kl=False))
    assert parts.query.item() == pytest.approx(len(setup.rows) * math.log(2), rel=1e-6)
