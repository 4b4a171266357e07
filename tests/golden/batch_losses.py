"""One batch of losses.json: token ids, query logits, losses and gradients."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from raycalib.prompts import query_text
from raycalib.tuning.batches import TuningRow
from raycalib.tuning.losses import query_losses
from raycalib.tuning.temperature import Temperature
from tests.golden.tally import Tally
from tests.golden.tuned import KL_KINDS, Gradients, TunedModel, as_paper, example_of

LOGITS_ATOL = 1e-4
LOSS_RTOL = 1e-4
GRADIENT_RTOL = 1e-3

WRONG_MASK = "tuning: the divergence is taken on each row's own target tokens; the paper's mask has one length a batch"
REMARKS = "losses.json: remarks on how the file was made"
SMOOTHING = "losses.json: label smoothing, which raycalib does not have"
LM_LOSS = "losses.json: a language model's loss, which raycalib does not have; it is 0 throughout"

BASE_LOGITS = "q_logits_ref_adapter(base)"
LOG_TEMPERATURE = "q_loss_log_temperature_"
GRADIENT_BY_PARAMETER = "grad_per_param_l2_jsd_1.0"
READ = {
    "batch",
    "query_texts",
    "query_input_ids",
    "query_attention_mask_rowsum",
    "q_logits",
    "p_yes",
    "q_labels",
    BASE_LOGITS,
    "ref_text",
    "ref_input_ids",
    "labels_kept_per_row_in_reference",
    "true_target_tokens_per_row",
    "q_loss",
    "kl_loss",
    "kl_loss_batch_of_1_each",
    "total",
    GRADIENT_BY_PARAMETER,
}
TOTAL = {"kl_type", "kl_decay", "loss", "metrics", "grad_l2_default_adapter", "grad_l2_ref_adapter"}


def compare_batch(
    tuned: TunedModel,
    examples: Sequence[dict[str, Any]],
    rows: Sequence[TuningRow],
    golden: dict[str, Any],
    tally: Tally,
) -> None:
    """All that the file says of one batch."""
    where = f"losses.json/results/{golden['batch']}"
    scaled = {name for name in golden if name.startswith(LOG_TEMPERATURE)}
    tally.account(where, golden, READ | scaled, {"q_loss_label_smoothing_0.1": SMOOTHING})
    _compare_ids(where, tuned, examples, rows, golden, tally)
    _compare_queries(where, tuned, rows, golden, tally)
    reason = mask_reason(rows)
    for name, kind in KL_KINDS.items():
        alone, one_by_one = golden["kl_loss_batch_of_1_each"][name], tuned.divergences(rows, kind)
        tally.account(f"{where}/kl_loss_batch_of_1_each/{name}", alone, ("per_example", "mean"), {})
        tally.compare_close(f"{where}/{name}/per_example", one_by_one, alone["per_example"], rtol=LOSS_RTOL)
        together = tuned.gradients(rows, kind).divergence
        tally.compare_close(f"{where}/{name}/mean", together, alone["mean"], rtol=LOSS_RTOL)
        tally.compare_close(f"{where}/kl_loss/{name}", together, golden["kl_loss"][name], rtol=LOSS_RTOL, reason=reason)
        masked = tuned.gradients(as_paper(rows), kind).divergence
        tally.compare_close(f"{where}/paper_mask/kl_loss/{name}", masked, golden["kl_loss"][name], rtol=LOSS_RTOL)
    for total in golden["total"]:
        _compare_total(where, tuned, rows, golden, total, tally)
    if GRADIENT_BY_PARAMETER in golden:
        by_parameter = golden[GRADIENT_BY_PARAMETER]
        compare_norms(f"{where}/paper_mask/gradient", tuned.gradients(as_paper(rows)).norms, by_parameter, tally)
        compare_norms(f"{where}/gradient", tuned.gradients(rows).norms, by_parameter, tally, reason)


def mask_reason(rows: Sequence[TuningRow]) -> str | None:
    """Why values that hang on the mask may differ; None where the paper's mask is right."""
    return None if as_paper(rows) == list(rows) else WRONG_MASK


def _compare_ids(
    where: str,
    tuned: TunedModel,
    examples: Sequence[dict[str, Any]],
    rows: Sequence[TuningRow],
    golden: dict[str, Any],
    tally: Tally,
) -> None:
    """Texts, and their ids without the padding on their left."""
    questions = [example_of(fields) for fields in examples]
    queries = [query_text(one.text(), fields["output"]) for one, fields in zip(questions, examples, strict=True)]
    tally.compare(f"{where}/query_texts", queries, golden["query_texts"])
    tally.compare(f"{where}/ref_text", [one.answered(one.target) for one in questions], golden["ref_text"])
    lengths = [len(row.query_ids) for row in rows]
    tally.compare(f"{where}/query_attention_mask_rowsum", lengths, golden["query_attention_mask_rowsum"])
    pad = tuned.tokenizer.pad_token_id
    for name, texts in (
        ("query_input_ids", [row.query_ids for row in rows]),
        ("ref_input_ids", [row.kl_ids for row in rows]),
    ):
        width = max(map(len, texts))
        tally.compare(f"{where}/{name}", [[pad] * (width - len(ids)) + list(ids) for ids in texts], golden[name])
    n_target, kept = [row.n_target for row in rows], [row.n_target for row in as_paper(rows)]
    golden_kept = golden["labels_kept_per_row_in_reference"]
    tally.compare(f"{where}/true_target_tokens_per_row", n_target, golden["true_target_tokens_per_row"])
    tally.compare(f"{where}/paper_mask/labels_kept_per_row", kept, golden_kept)
    tally.compare(f"{where}/labels_kept_per_row", n_target, golden_kept, mask_reason(rows))


def _compare_queries(
    where: str, tuned: TunedModel, rows: Sequence[TuningRow], golden: dict[str, Any], tally: Tally
) -> None:
    """Logits of the query and its loss, at several temperatures."""
    logits, labels = tuned.query_logits(rows), torch.tensor([row.label for row in rows])
    tally.compare(f"{where}/q_labels", labels.tolist(), golden["q_labels"])
    tally.compare_close(f"{where}/q_logits", logits, golden["q_logits"], atol=LOGITS_ATOL)
    with tuned.peft_model.disable_adapter():
        tally.compare_close(f"{where}/q_logits/base", tuned.query_logits(rows), golden[BASE_LOGITS], atol=LOGITS_ATOL)
    tally.compare_close(f"{where}/p_yes", logits.softmax(dim=-1)[:, 1], golden["p_yes"], rtol=LOSS_RTOL)
    tally.compare_close(f"{where}/q_loss", query_losses(logits, labels).mean(), golden["q_loss"], rtol=LOSS_RTOL)
    margins = (logits[:, 1] - logits[:, 0]).numpy()
    for name in golden:
        if name.startswith(LOG_TEMPERATURE):
            log_temperature = float(name.removeprefix(LOG_TEMPERATURE))
            temperature = Temperature(log_temperature=log_temperature, n=len(rows), nll_before=0.0, nll_after=0.0)
            scaled = torch.from_numpy(temperature.apply(margins))
            loss = query_losses(torch.stack([torch.zeros_like(scaled), scaled], dim=1), labels).mean()
            tally.compare_close(f"{where}/{name}", loss, golden[name], rtol=LOSS_RTOL)


def _compare_total(
    where: str,
    tuned: TunedModel,
    rows: Sequence[TuningRow],
    golden: dict[str, Any],
    total: dict[str, Any],
    tally: Tally,
) -> None:
    """The loss that is tuned on, with one kind and weight of the divergence, and its gradient."""
    name, decay, losses = total["kl_type"], total["kl_decay"], total["metrics"]
    where = f"{where}/total/{name}/{decay}"
    tally.account(where, total, TOTAL, {})
    tally.account(f"{where}/metrics", losses, ("q_loss", "kl_loss"), {"lm_loss": LM_LOSS})
    masked, ours = (tuned.gradients(way, KL_KINDS[name], decay) for way in (as_paper(rows), rows))
    for way, found, reason in (("paper_mask/", masked, None), ("", ours, mask_reason(rows) if decay else None)):
        compare_step(f"{where}/{way}loss", found, total["loss"], total["grad_l2_default_adapter"], tally, reason)
        tally.compare_close(f"{where}/{way}q_loss", found.query, losses["q_loss"], rtol=LOSS_RTOL)
        tally.compare_close(f"{where}/{way}kl_loss", found.divergence, losses["kl_loss"], rtol=LOSS_RTOL, reason=reason)
        tally.compare(f"{where}/{way}gradient outside the adapter", found.outside, total["grad_l2_ref_adapter"])
    right = golden["q_loss"] + decay * golden["kl_loss_batch_of_1_each"][name]["mean"]
    tally.compare_close(f"{where}/loss with the divergence of batches of one", ours.loss, right, rtol=LOSS_RTOL)


def compare_step(
    where: str, found: Gradients, loss: float, norm: float, tally: Tally, reason: str | None = None
) -> None:
    """A loss and the norm of its gradient."""
    tally.compare_close(where, found.loss, loss, rtol=LOSS_RTOL, reason=reason)
    tally.compare_close(f"{where}: gradient", found.norm, norm, rtol=GRADIENT_RTOL, reason=reason)


def compare_norms(
    where: str, ours: Mapping[str, float], golden: Mapping[str, float], tally: Tally, reason: str | None = None
) -> None:
    """Norms of the gradient by parameter."""
    numbers = {name.partition("layers.")[2]: norm for name, norm in golden.items()}
    tally.compare(f"{where}: parameters", sorted(ours), sorted(numbers))
    for name in ours.keys() & numbers.keys():
        tally.compare_close(f"{where}/{name}", ours[name], numbers[name], rtol=GRADIENT_RTOL, reason=reason)
