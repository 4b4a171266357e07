"""Checks that a model reads a packed row as its texts alone, and that the loss reads the logits that the model has."""

from collections.abc import Sequence

import torch

from raycalib.errors import ModelError
from raycalib.lm.engines.memory import is_out_of_memory
from raycalib.lm.logits_check import TOLERANCE as LOGIT_TOLERANCE
from raycalib.lm.logits_check import UNREADABLE, cannot_be_read, check_logits
from raycalib.tuning.batches import TuningRow, collate, collate_reference
from raycalib.tuning.engines import TrainingEngine
from raycalib.tuning.objective import CalibrationObjective

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
"""Largest distance of a final state from that of a plain pass, as a share of its length."""
QUANTIZED_TOLERANCE = 0.3
TRIED_ROWS = 8


def check_layout(engine: TrainingEngine, objective: CalibrationObjective, row: TuningRow, device: torch.device) -> None:
    """Compares the final states that the loss reads of two rows side by side with those of plain passes.

    Models that are not plain decoders (recurrent layers, say) would read one text into the next. All workers call it
    together.

    Raises:
        ModelError: they differ by more than rounding.
    """
    texts = [collate([row], with_kl=False)] + ([collate_reference([row])] if row.n_target else [])
    try:
        packed = engine.read(collate([row, row]).to(device), "read_states").float()
        alone = [engine.read(text.to(device), "plain_states").float() for text in texts]
    except UNREADABLE as error:
        if is_out_of_memory(error):
            raise
        raise cannot_be_read(objective.causal_lm, error) from error
    expected = torch.cat(alone).repeat(2, 1)
    worst = float(((packed - expected).norm(dim=1) / expected.norm(dim=1)).max())
    model = objective.causal_lm
    allowed = QUANTIZED_TOLERANCE if getattr(model, "quantization_method", None) else TOLERANCE[model.dtype]
    if not (bool(torch.isfinite(packed).all()) and bool(torch.isfinite(expected).all())):
        raise ModelError(
            f"model: the hidden states of {type(model).__name__} are not finite (NaN or infinite) for the row "
            f"{row.row_id}; look at its weights, or use --dtype float32"
        )
    if not worst <= allowed:
        raise ModelError(
            f"model: {type(model).__name__} reads packed texts differently from texts alone (by {worst:.2g} of a "
            "state's length), so it cannot be tuned: its layers are not attention alone, or their attention does not "
            "take packed texts; choose another: Llama, Mistral, Qwen, Gemma, Granite …"
        )


def first_finite_row(engine: TrainingEngine, rows: Sequence[TuningRow], device: torch.device) -> TuningRow:
    """The first of a few rows whose states are finite, to check a model by; the first of all where none is."""
    for row in rows[:TRIED_ROWS]:
        try:
            states = engine.read(collate([row]).to(device), "read_states")
        except UNREADABLE:  # the check itself says why
            return row
        if bool(torch.isfinite(states).all()):
            return row
    return rows[0]


def check_tuned_logits(
    engine: TrainingEngine, objective: CalibrationObjective, row: TuningRow, device: torch.device
) -> None:
    """Compares the logits that the loss makes of hidden states with those of the model's own forward.

    A classifier in place of the query has none. All workers call it together.

    Raises:
        ModelError: they differ by more than rounding.
    """
    if objective.head is not None:
        return
    model = objective.causal_lm
    texts = [collate([row], with_kl=False)] + ([collate_reference([row])] if row.n_target else [])
    for text in (text.to(device) for text in texts):
        own = engine.read(text, "own_logits").float()
        largest, tolerance = float(own.abs().max()), LOGIT_TOLERANCE[model.dtype]
        check_logits(model, engine.read(text, "plain_logits"), own, largest, tolerance)
        if len(text.query_at):
            found = engine.read(text, "plain_query_logits")
            check_logits(model, found, own[text.query_at][:, objective.label_tokens], largest, tolerance)
