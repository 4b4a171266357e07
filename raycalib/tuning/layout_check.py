"""Checks that a model reads a packed row as it reads the row's texts alone."""

import torch

from raycalib.errors import ModelError
from raycalib.tuning.batches import TuningRow, collate, collate_reference
from raycalib.tuning.engines import TrainingEngine
from raycalib.tuning.objective import CalibrationObjective

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
"""Largest distance of a final state from that of a plain pass, as a share of its length."""
QUANTIZED_TOLERANCE = 0.3


def check_layout(engine: TrainingEngine, objective: CalibrationObjective, row: TuningRow, device: torch.device) -> None:
    """Compares the final states that the loss reads of two rows side by side with those of plain passes.

    Models that are not plain decoders (recurrent layers, say) would read one text into the next. All workers call it
    together.

    Raises:
        ModelError: they differ by more than rounding.
    """
    packed = engine.read(collate([row, row]).to(device), "read_states").float()
    texts = [collate([row], with_kl=False)] + ([collate_reference([row])] if row.n_target else [])
    alone = [engine.read(text.to(device), "plain_states").float() for text in texts]
    expected = torch.cat(alone).repeat(2, 1)
    worst = float(((packed - expected).norm(dim=1) / expected.norm(dim=1)).max())
    model = objective.causal_lm
    allowed = QUANTIZED_TOLERANCE if getattr(model, "quantization_method", None) else TOLERANCE[model.dtype]
    if not worst <= allowed:
        raise ModelError(
            f"model: {type(model).__name__} reads packed texts differently from texts alone (by {worst:.2g} of a "
            "state's length), so it cannot be tuned; choose a decoder with attention alone: Llama, Mistral, Qwen …"
        )
