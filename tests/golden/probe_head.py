"""Features, logits, losses and gradients of the paper's classifier, which raycalib calls a probe."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import query_text
from raycalib.tuning.losses import query_losses
from raycalib.tuning.probe import Probe
from tests.golden.batch_losses import GRADIENT_RTOL, LOGITS_ATOL, LOSS_RTOL, REMARKS
from tests.golden.tally import Tally
from tests.golden.tuned import ADAPTER_NAME, TunedModel, example_of

JOINT = "losses.json: an adapter tuned together with a probe, which raycalib does not have"
BASE = "_ref"
N_FIRST = 8
RESULT = {
    "adapter",
    "batch",
    "with_query",
    "labels",
    "class_logits",
    "class_loss",
    "feature_l2",
    "features_first8",
    "features",
    "head_grad_l2",
}


def compare_probe(
    golden: dict[str, Any], head: Path, tuned: TunedModel, batches: Sequence[Sequence[dict[str, Any]]], tally: Tally
) -> None:
    """The probe on the base model's features and on the tuned model's."""
    where = "losses.json/classifier"
    tally.account(where, golden, ("results", "with_lora_batch0"), {"head": REMARKS})
    probe = Probe(tuned.base.config.hidden_size)  # its standardization is none until it is fitted, as the paper's
    probe.layers.load_state_dict(safetensors.torch.load_file(head))
    for result in golden["results"]:
        _compare_result(where, probe, tuned, batches[result["batch"]], result, tally)
    joint = golden["with_lora_batch0"]
    name = f"{where}/with_lora_batch0"
    tally.account(name, joint, ("class_loss", "head_grad_l2"), {"grad_l2_default_adapter": JOINT})
    _compare_loss(name, probe, features_of(tuned, batches[0], ADAPTER_NAME, False), batches[0], joint, tally)


def features_of(tuned: TunedModel, examples: Sequence[dict[str, Any]], adapter: str, with_query: bool) -> Tensor:
    """(B, H) states after the answers, or after the query behind them, which is where an empty answer to it ends."""
    texts, answers = [example_of(fields).text() for fields in examples], [fields["output"] for fields in examples]
    if with_query:
        texts = [query_text(text, answer) for text, answer in zip(texts, answers, strict=True)]
        answers = [""] * len(texts)
    with tuned.peft_model.disable_adapter() if adapter == BASE else nullcontext():
        return torch.from_numpy(QueryScorer(tuned.base, tuned.tokenizer).score(texts, answers).states)


def _compare_result(
    where: str,
    probe: Probe,
    tuned: TunedModel,
    examples: Sequence[dict[str, Any]],
    golden: dict[str, Any],
    tally: Tally,
) -> None:
    where = f"{where}/{golden['adapter']}/{golden['batch']}/{'query' if golden['with_query'] else 'answer'}"
    tally.account(where, golden, RESULT, {})
    tally.compare(f"{where}/adapter", golden["adapter"] in (BASE, ADAPTER_NAME), True)
    features = features_of(tuned, examples, golden["adapter"], golden["with_query"])
    tally.compare(f"{where}/labels", [fields["query_label"] for fields in examples], golden["labels"])
    tally.compare_close(f"{where}/feature_l2", features.norm(dim=1), golden["feature_l2"], rtol=LOSS_RTOL)
    tally.compare_close(f"{where}/features_first8", features[:, :N_FIRST], golden["features_first8"], atol=LOGITS_ATOL)
    if "features" in golden:
        tally.compare_close(f"{where}/features", features, golden["features"], atol=LOGITS_ATOL)
    logits = probe(features).detach()
    tally.compare_close(f"{where}/class_logits", logits, golden["class_logits"], atol=LOGITS_ATOL)
    _compare_loss(where, probe, features, examples, golden, tally)


def _compare_loss(
    where: str,
    probe: Probe,
    features: Tensor,
    examples: Sequence[dict[str, Any]],
    golden: dict[str, Any],
    tally: Tally,
) -> None:
    labels = torch.tensor([fields["query_label"] for fields in examples])
    loss = query_losses(probe(features), labels).mean()
    parameters = list(probe.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    tally.compare_close(f"{where}/class_loss", loss.item(), golden["class_loss"], rtol=LOSS_RTOL)
    tally.compare_close(f"{where}/head_grad_l2", norm.item(), golden["head_grad_l2"], rtol=GRADIENT_RTOL)
