"""Makes what losses.json holds for any tiny model, without raycalib's tuning: a padded pass for each kind of text.

The divergence is masked as the paper's code does it, by one number for the whole batch.
"""

from collections.abc import Sequence
import copy
from typing import Any, NamedTuple

from peft import PeftModel
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from raycalib.prompts import QUERY_SUFFIX

KINDS = ("jsd", "forward_kl", "reverse_kl")
LR = 1e-3
LOG_TEMPERATURE = 0.3

Fields = dict[str, Any]


class PlainTuning(NamedTuple):
    """A model with an adapter in place, its tokenizer, and the tokens of no and yes."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[int, int]

    def encoded(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return dict(self.tokenizer(list(texts), padding=True, padding_side="left", return_tensors="pt"))

    def query_logits(self, batch: Sequence[Fields]) -> Tensor:
        logits: Tensor = self.model(**self.encoded(queries(batch))).logits[:, -1, list(self.labels)]
        return logits

    def query_loss(self, batch: Sequence[Fields]) -> Tensor:
        return nn.functional.cross_entropy(self.query_logits(batch), torch.tensor(labels(batch)))

    def kept(self, batch: Sequence[Fields]) -> int:
        widths = [self.encoded(texts)["input_ids"].shape[1] for texts in (answered(batch), asked(batch))]
        return widths[0] - widths[1]

    def divergence(self, batch: Sequence[Fields], kind: str) -> Tensor:
        encoded, kept = self.encoded(answered(batch)), self.kept(batch)
        q = self.model(**encoded).logits[:, -kept - 1 : -1].softmax(dim=-1)
        with torch.no_grad(), self.model.disable_adapter():
            p = self.model(**encoded).logits[:, -kept - 1 : -1].softmax(dim=-1)
        m = (p + q) / 2
        by_kind = {"forward_kl": _kl(p, q), "reverse_kl": _kl(q, p), "jsd": (_kl(p, m) + _kl(q, m)) / 2}
        return by_kind[kind].sum(dim=1).mean()

    def adapter(self) -> dict[str, nn.Parameter]:
        return {name: part for name, part in self.model.named_parameters() if ".lora_" in name}

    def gradient(self, batch: Sequence[Fields], kind: str, decay: float) -> tuple[float, dict[str, float]]:
        """The total loss and the norm of its gradient by parameter."""
        loss = self.query_loss(batch) + decay * self.divergence(batch, kind)
        gradients = torch.autograd.grad(loss, list(self.adapter().values()))
        names = ["layers." + name.partition(".layers.")[2] for name in self.adapter()]
        return loss.item(), {name: part.norm().item() for name, part in zip(names, gradients, strict=True)}


def _kl(left: Tensor, right: Tensor) -> Tensor:
    return (left * (left / right).log()).sum(dim=-1)


def asked(batch: Sequence[Fields]) -> list[str]:
    return [fields["context"] + fields["target_prompt"] for fields in batch]


def answered(batch: Sequence[Fields]) -> list[str]:
    return [f"{text} {fields['target']}" for text, fields in zip(asked(batch), batch, strict=True)]


def proposed(batch: Sequence[Fields]) -> list[str]:
    return [f"{text} {fields['output']}" for text, fields in zip(asked(batch), batch, strict=True)]


def queries(batch: Sequence[Fields]) -> list[str]:
    return [text + QUERY_SUFFIX for text in proposed(batch)]


def labels(batch: Sequence[Fields]) -> list[int]:
    return [fields["query_label"] for fields in batch]


def norm_of(norms: dict[str, float]) -> float:
    return sum(norm**2 for norm in norms.values()) ** 0.5


@torch.no_grad()
def query_part(plain: PlainTuning, batch: Sequence[Fields]) -> dict[str, Any]:
    """Texts, ids and logits."""
    query, answer = plain.encoded(queries(batch)), plain.encoded(answered(batch))
    logits = plain.query_logits(batch)
    with plain.model.disable_adapter():
        base = plain.query_logits(batch)
    scaled = nn.functional.cross_entropy(logits / torch.tensor(LOG_TEMPERATURE).exp(), torch.tensor(labels(batch)))
    return {
        "query_texts": queries(batch),
        "query_input_ids": query["input_ids"].tolist(),
        "query_attention_mask_rowsum": query["attention_mask"].sum(dim=1).tolist(),
        "q_logits": logits.tolist(),
        "p_yes": logits.softmax(dim=-1)[:, 1].tolist(),
        "q_labels": labels(batch),
        "q_logits_ref_adapter(base)": base.tolist(),
        "ref_text": answered(batch),
        "ref_input_ids": answer["input_ids"].tolist(),
        "labels_kept_per_row_in_reference": [plain.kept(batch)] * len(batch),
        "true_target_tokens_per_row": [plain.kept([fields]) for fields in batch],
        "q_loss": plain.query_loss(batch).item(),
        f"q_loss_log_temperature_{LOG_TEMPERATURE}": scaled.item(),
        "q_loss_label_smoothing_0.1": 0.0,
    }


def result_of(plain: PlainTuning, number: int, batch: Sequence[Fields]) -> dict[str, Any]:
    """All that the file says of one batch."""
    alone = {kind: [plain.divergence([fields], kind).item() for fields in batch] for kind in KINDS}
    totals = []
    for kind, decay in (("jsd", 0.0), ("jsd", 1.0), ("forward_kl", 0.5), ("reverse_kl", 0.5)):
        loss, norms = plain.gradient(batch, kind, decay)
        divergence = plain.divergence(batch, kind).item() if decay else 0.0
        metrics = {"lm_loss": 0.0, "q_loss": plain.query_loss(batch).item(), "kl_loss": divergence}
        totals.append({"kl_type": kind, "kl_decay": decay, "loss": loss, "metrics": metrics})
        totals[-1] |= {"grad_l2_default_adapter": norm_of(norms), "grad_l2_ref_adapter": 0.0}
    return query_part(plain, batch) | {
        "batch": number,
        "kl_loss": {kind: plain.divergence(batch, kind).item() for kind in KINDS},
        "kl_loss_batch_of_1_each": {
            kind: {"per_example": values, "mean": sum(values) / len(values)} for kind, values in alone.items()
        },
        "total": totals,
        "grad_per_param_l2_jsd_1.0": plain.gradient(batch, "jsd", 1.0)[1],
    }


def trajectory_of(plain: PlainTuning, batches: Sequence[Sequence[Fields]], n_steps: int) -> dict[str, Any]:
    """Steps of AdamW over the batches in turn."""
    plain = plain._replace(model=copy.deepcopy(plain.model))
    optimizer = torch.optim.AdamW(plain.adapter().values(), lr=LR, weight_decay=0.0)
    steps = []
    for step in range(n_steps):
        batch = batches[step % len(batches)]
        loss, norms = plain.gradient(batch, "jsd", 1.0)
        steps.append({"step": step, "batch": step % len(batches), "loss": loss, "grad_l2": norm_of(norms)})
        optimizer.zero_grad()
        (plain.query_loss(batch) + plain.divergence(batch, "jsd")).backward()
        optimizer.step()
    settings = {"lr": LR, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
    return settings | {"kl_type": "jsd", "kl_decay": 1.0, "no_grad_clipping": True, "steps": steps}


def classified(
    plain: PlainTuning, head: nn.Sequential, adapter: str, number: int, batch: Sequence[Fields], with_query: bool
) -> dict[str, Any]:
    """The classifier on one batch's states."""
    encoded = plain.encoded(queries(batch) if with_query else proposed(batch))
    with torch.no_grad():
        if adapter == "_ref":
            with plain.model.disable_adapter():
                states = plain.model(**encoded, output_hidden_states=True).hidden_states[-1][:, -1]
        else:
            states = plain.model(**encoded, output_hidden_states=True).hidden_states[-1][:, -1]
    logits = head(states)
    loss = nn.functional.cross_entropy(logits, torch.tensor(labels(batch)))
    gradients = torch.autograd.grad(loss, list(head.parameters()))
    return {
        "adapter": adapter,
        "batch": number,
        "with_query": with_query,
        "labels": labels(batch),
        "class_logits": logits.tolist(),
        "class_loss": loss.item(),
        "feature_l2": states.norm(dim=1).tolist(),
        "features_first8": states[:, :8].tolist(),
        "features": states.tolist(),
        "head_grad_l2": norm_of({str(place): part.norm().item() for place, part in enumerate(gradients)}),
    }
