"""Floating-point operations of tuning an adapter on a frozen model, by arithmetic alone.

A matrix product takes two operations for each weight and token (Kaplan et al., arXiv 2001.08361, section 2.1). Frozen
weights need a pass forward and one back to their inputs, and none to themselves: 4 operations for each weight and
token, where training them takes 6. Attention's own products, both of whose sides have gradients, are counted over half
of the positions, since they are causal. Left out are embeddings, norms, and the language-model head, which reads few
positions.
"""

from dataclasses import dataclass
import math

from raycalib.tuning.memory_plan import PlannedRun

FORWARD, FROZEN, TRAINED = 2, 4, 6
"""Operations for each weight and token: of a pass forward, of tuning through frozen weights, of tuning the weights."""


@dataclass(frozen=True, kw_only=True)
class TuningFlops:
    """Operations of one tuned configuration.

    Attributes:
        steps: of its optimizer steps.
        validation: of its evaluations.
    """

    steps: float
    validation: float

    @property
    def total(self) -> float:
        """Of both."""
        return self.steps + self.validation


def tuning_flops(run: PlannedRun, steps: int, batch: int, eval_every: int, val_rows: int) -> TuningFlops:
    """What tuning takes.

    Args:
        run: model, adapter and rows.
        steps: optimizer steps.
        batch: rows of each, over all workers.
        eval_every: steps between evaluations; the last step has one too.
        val_rows: rows of each evaluation.
    """
    tokens = run.tokens_per_row if run.compares else query_tokens(run)
    weights, attention = run.shape.n_linear_weights, _attention_weights(run, tokens)
    of_token = FROZEN * weights + TRAINED * (attention + run.n_adapter)
    if run.gradient_checkpointing:
        of_token += FORWARD * (weights + attention + run.n_adapter)
    return TuningFlops(
        steps=float(steps * batch * tokens * of_token),
        validation=math.ceil(steps / eval_every) * reading_flops(run, val_rows, query_tokens(run)),
    )


def reading_flops(run: PlannedRun, rows: int, tokens: int) -> float:
    """A pass forward over so many rows of so many tokens, without an adapter."""
    return float(FORWARD * rows * tokens * (run.shape.n_linear_weights + _attention_weights(run, tokens)))


def query_tokens(run: PlannedRun) -> int:
    """Of a row without its true answer, which only the comparison with the base model reads."""
    return run.tokens_per_row - run.answer_tokens


def _attention_weights(run: PlannedRun, tokens: int) -> int:
    """Weights whose product with a token would take what attention's two products do over the positions before it."""
    return run.shape.n_layers * run.shape.query_size * tokens
