"""Checks that a model reads a packed row as it reads the row's texts alone."""

import torch

from raycalib.errors import ModelError
from raycalib.tuning.batches import TuningRow, collate
from raycalib.tuning.objective import CalibrationObjective

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.2}
"""Largest distance of a final state from that of a plain pass, as a share of its length."""
QUANTIZED_TOLERANCE = 0.3


@torch.no_grad()
def check_layout(objective: CalibrationObjective, row: TuningRow) -> None:
    """Compares the final states that the loss reads of two rows side by side with those of plain passes.

    Models that are not plain decoders (recurrent layers, say) would read one text into the next.

    Raises:
        ModelError: they differ by more than rounding.
    """
    objective.eval()
    model = objective.causal_lm
    device = next(model.parameters()).device
    batch = collate([row, row]).to(device)
    packed = objective.read_states(batch).float()
    decoder = model.get_submodule("model")
    alone = []
    for text, places in (
        (row.query_ids, [len(row.query_ids) - 1]),
        (row.kl_ids, list(range(len(row.kl_ids) - row.n_target - 1, len(row.kl_ids) - 1))),
    ):
        if not places:
            continue
        states = decoder(input_ids=torch.tensor([text], device=device), use_cache=False).last_hidden_state
        alone.append(states[0, places].float())
    expected = torch.cat(alone).repeat(2, 1)
    worst = float(((packed - expected).norm(dim=1) / expected.norm(dim=1)).max())
    allowed = QUANTIZED_TOLERANCE if getattr(model, "quantization_method", None) else TOLERANCE[model.dtype]
    if not worst <= allowed:
        raise ModelError(
            f"model: {type(model).__name__} reads packed texts differently from texts alone (by {worst:.2g} of a "
            "state's length), so it cannot be tuned; choose a decoder with attention alone: Llama, Mistral, Qwen …"
        )
