"""Trains a stand-in on the corpus of facts: from scratch, or further from another one's weights."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
import math
import time

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.standins.corpus import Corpus, CorpusConfig, Document
from raycalib.lm.standins.muon import FullPrecisionMuon
from raycalib.lm.standins.shapes import StandinShape


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How a stand-in is trained.

    Attributes:
        steps: optimizer steps.
        documents_per_step: documents drawn for each step.
        micro_batches: the step's documents are sorted by length and cut into this many padded batches.
        matrix_lr: peak learning rate of the hidden matrices (Muon).
        embedding_lr: peak learning rate of embeddings and norms (AdamW).
        warmup_steps: of a linear warm-up; a linear decay to zero takes the last ``decay_share`` of the steps.
    """

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    steps: int = 2600
    documents_per_step: int = 128
    micro_batches: int = 8
    matrix_lr: float = 0.02
    embedding_lr: float = 0.01
    warmup_steps: int = 50
    decay_share: float = 0.5


FURTHER = PretrainConfig(
    corpus=CorpusConfig(open_ended=0.38, choice=0.50, query=0.12, mention=0.0, hinted=0.1, hinted_end=0.0),
    steps=300,
    matrix_lr=0.005,
    embedding_lr=0.002,
    warmup_steps=20,
    decay_share=1.0,
)
"""How a variant is tuned further on the plain one's weights: questions and answers alone, and twice as many queries."""


@dataclass(frozen=True)
class TrainingProgress:
    """What is reported every few steps."""

    step: int
    steps: int
    loss: float
    answer_loss: float
    tokens_per_s: float


def pretrain(
    shape: StandinShape,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainConfig,
    report: Callable[[TrainingProgress], None],
    start: PreTrainedModel | None = None,
    report_every: int = 50,
) -> PreTrainedModel:
    """The trained model, in float32 and evaluation mode. Same configuration, same thread count: same weights.

    Args:
        shape: its architecture and seed.
        tokenizer: of the corpus.
        config: how it is trained.
        report: is given the progress.
        start: a model in float32 whose weights it goes on from, which are changed; None begins with random ones.
        report_every: so many steps.
    """
    torch.manual_seed(shape.seed)
    model = start
    if model is None:
        model = AutoModelForCausalLM.from_config(shape.config(), dtype=torch.float32, trust_remote_code=False)
    model.train()
    losses = torch.compile(partial(_losses, model), dynamic=True)
    corpus = Corpus(config.corpus)
    rng = np.random.default_rng([config.corpus.seed, shape.seed])
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        FullPrecisionMuon(matrices, lr=config.matrix_lr, weight_decay=0.0),
        torch.optim.AdamW(others, lr=config.embedding_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, config)) for optimizer in optimizers
    ]
    seen, started = 0, time.perf_counter()
    for step in range(config.steps):
        documents = list(corpus.documents(config.documents_per_step, rng, step / config.steps))
        loss, answer_loss, tokens = _accumulate(losses, tokenizer, documents, config)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        seen += tokens
        if (step + 1) % report_every == 0 or step + 1 == config.steps:
            rate = seen / (time.perf_counter() - started)
            report(TrainingProgress(step + 1, config.steps, loss, answer_loss, rate))
    return model.eval()


def _schedule(step: int, config: PretrainConfig) -> float:
    warm = min(1.0, (step + 1) / config.warmup_steps)
    left = (config.steps - step) / max(1, math.ceil(config.steps * config.decay_share))
    return warm * min(1.0, left)


def _accumulate(
    losses: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    tokenizer: PreTrainedTokenizerBase,
    documents: list[Document],
    config: PretrainConfig,
) -> tuple[float, float, int]:
    """Adds the step's gradient; returns the weighted loss, the loss of continuation tokens, and the tokens read."""
    encoded = sorted(_encode(tokenizer, documents), key=lambda pair: len(pair[0]))
    total_weight = sum(float(weights.sum()) for _, weights in encoded)
    answer_count = sum(int((weights >= 1).sum()) for _, weights in encoded)
    loss_sum, answer_sum, tokens = 0.0, 0.0, 0
    for batch in _cut(encoded, config.micro_batches):
        width = len(batch[-1][0])
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        weights = torch.zeros(len(batch), width)
        for row, (row_ids, row_weights) in enumerate(batch):
            ids[row, : len(row_ids)] = torch.from_numpy(row_ids)
            weights[row, : len(row_ids)] = torch.from_numpy(row_weights)
        loss, answer_loss = losses(ids, weights)
        (loss / total_weight).backward()
        loss_sum += loss.item() / total_weight
        answer_sum += answer_loss.item() / answer_count
        tokens += int((weights > 0).sum())
    return loss_sum, answer_sum, tokens


def _losses(model: PreTrainedModel, ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted sum of the tokens' losses, and the plain sum over those of continuations (weight of 1 or more)."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    kept = weights[:, 1:].flatten()
    return (losses * kept).sum(), (losses.detach() * (kept >= 1)).sum()


def _encode(tokenizer: PreTrainedTokenizerBase, documents: list[Document]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Token ids and loss weights of each document; it is tokenized whole, so that boundaries are natural."""
    encoded = tokenizer([document.text for document in documents], return_offsets_mapping=True)
    pairs = []
    for ids, offsets, document in zip(encoded["input_ids"], encoded["offset_mapping"], documents, strict=True):
        ends = np.cumsum([len(text) for text, _ in document.parts])
        weights = np.array([weight for _, weight in document.parts], dtype=np.float32)
        last_letters = np.maximum(np.array(offsets)[:, 1], 1) - 1
        pairs.append((np.array(ids), weights[np.searchsorted(ends, last_letters, side="right")]))
    return pairs


def _cut(encoded: list[tuple[np.ndarray, np.ndarray]], parts: int) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Consecutive batches of about equal token counts."""
    ends = np.cumsum([len(ids) for ids, _ in encoded])
    edges = [int(np.searchsorted(ends, ends[-1] * part / parts)) for part in range(1, parts)]
    for start, stop in zip([0, *edges], [*edges, len(encoded)], strict=True):
        if stop > start:
            yield encoded[start:stop]


def config_record(shape: StandinShape, config: PretrainConfig) -> dict[str, object]:
    """Shape and configuration as plain values, for the record kept beside the weights."""
    return {"shape": asdict(shape), "pretrain": asdict(config)}
