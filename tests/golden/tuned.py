"""The tiny model and the adapter that losses.json was made with, read and asked through raycalib."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from peft import PeftModel
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.adapters import load_adapter
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import find_model
from raycalib.prompts import Example
from raycalib.storage import Location
from raycalib.tuning.batches import TuningBatch, TuningRow, collate, tuning_row
from raycalib.tuning.engines import trainable
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import KlKind

ADAPTER_NAME = "default"
MAX_TOKENS = 4096
KL_KINDS: dict[str, KlKind] = {"jsd": "jsd", "forward_kl": "forward", "reverse_kl": "reverse"}
"""The paper's names of divergences, and raycalib's."""


class Gradients(NamedTuple):
    """Mean losses of a batch, and norms of their gradient: by parameter of the adapter, and of all else together."""

    loss: float
    query: float
    divergence: float
    norms: dict[str, float]
    outside: float

    @property
    def norm(self) -> float:
        """Of the whole adapter's gradient."""
        return _norm(self.norms.values())


@dataclass(frozen=True)
class TunedModel:
    """Base model, adapter and tokenizer; the adapter is trainable, as while it is tuned."""

    peft_model: PeftModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def base(self) -> PreTrainedModel:
        """The model that holds the adapter; without it under ``peft_model.disable_adapter()``."""
        return self.peft_model.get_base_model()

    def objective(self, kind: KlKind = "jsd", decay: float = 1.0) -> CalibrationObjective:
        """The tuning loss."""
        return CalibrationObjective(self.base, query_label_tokens(self.tokenizer), decay, kind)

    def rows(self, examples: Iterable[dict[str, Any]]) -> list[TuningRow]:
        """Labelled answers as a tuning run reads them."""
        return [
            tuning_row(
                self.tokenizer, str(number), example_of(fields), fields["output"], fields["query_label"], MAX_TOKENS
            )[0]
            for number, fields in enumerate(examples)
        ]

    def batch(self, rows: Sequence[TuningRow], with_kl: bool = True) -> TuningBatch:
        """The rows, packed."""
        return collate(rows, with_kl)

    def base_states(self, rows: Sequence[TuningRow]) -> Tensor:
        """What the divergence compares with."""
        with self.peft_model.disable_adapter():
            return self.objective()(self.batch(rows), wanted="kl_states").detach()

    def query_logits(self, rows: Sequence[TuningRow]) -> Tensor:
        """(B, 2), of the tuned model."""
        return self.objective()(self.batch(rows, with_kl=False), wanted="query_logits").detach()

    def divergences(self, rows: Sequence[TuningRow], kind: KlKind) -> list[float]:
        """One row at a time, summed over its target tokens."""
        with torch.no_grad():
            parts = [self.objective(kind)(self.batch([row]), self.base_states([row])) for row in rows]
        return [part.divergence.item() for part in parts]

    def gradients(self, rows: Sequence[TuningRow], kind: KlKind = "jsd", decay: float = 1.0) -> Gradients:
        """Losses and gradient norms of one batch; the gradients themselves are cleared again."""
        objective, with_kl = self.objective(kind, decay), decay > 0
        parts = objective(self.batch(rows, with_kl), self.base_states(rows) if with_kl else None)
        (parts.total / len(rows)).backward()
        norms = {
            name.partition(".layers.")[2]: float(parameter.grad.norm())
            for name, parameter in trainable(objective).items()
        }
        frozen = [part for part in objective.parameters() if not part.requires_grad and part.grad is not None]
        outside = _norm(float(part.grad.norm()) for part in frozen)
        objective.zero_grad()
        means = (value.item() / len(rows) for value in (parts.total, parts.query, parts.divergence))
        return Gradients(*means, norms, outside)


def _norm(norms: Iterable[float]) -> float:
    return sum(norm**2 for norm in norms) ** 0.5


def load_tuned(directory: Path, adapter: str) -> TunedModel:
    """The model of a directory of golden files with one of its adapters."""
    source = find_model(str(directory / "tiny_llama"), None)
    peft_model = load_adapter(load_causal_lm(source), Location(str(directory / adapter)), ADAPTER_NAME)
    peft_model.set_adapter(ADAPTER_NAME)
    return TunedModel(peft_model, load_tokenizer(source))


def example_of(fields: dict[str, Any]) -> Example:
    """The question of a golden row."""
    return Example(context=fields["context"], target=fields["target"], target_prompt=fields["target_prompt"])


def paper_kept(rows: Sequence[TuningRow], most: int = MAX_TOKENS) -> list[int]:
    """How many last positions of each padded row the paper's mask takes for its target.

    It takes one number for the whole batch: by how much the longest text grows through the targets; all, where by none.
    """
    width = min(max(len(row.kl_ids) for row in rows), most)
    before = min(max(len(row.kl_ids) - row.n_target for row in rows), most)
    return [width - before or width] * len(rows)


def as_paper(rows: Sequence[TuningRow]) -> list[TuningRow]:
    """The rows with the numbers of target tokens that the paper's mask keeps."""
    return [replace(row, n_target=kept) for row, kept in zip(rows, paper_kept(rows), strict=True)]
