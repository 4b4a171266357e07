"""Our own training checkpoints: safetensors and JSON, complete or absent."""

from dataclasses import dataclass, field
import re
from typing import Any

import safetensors.torch
from torch import Tensor

from raycalib.storage import Location

STATE_NAME = "state.json"
TENSORS_NAME = "tensors.safetensors"
STEP_NAME = re.compile(r"step-(\d{8})")
KEPT = 2


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that a run needs to go on as if it had never stopped.

    Dropout and data order are functions of seed and step, so no random state is kept.

    Attributes:
        step: steps done.
        best_step: step with the least validation NLL (at its best temperature) so far, 0 before the first.
        best_nll: that NLL.
        history: one record per evaluation.
        tensors: ``weight/…`` and ``best/…`` (trainable weights now and at the best step), ``exp_avg/…`` and
            ``exp_avg_sq/…`` (AdamW's moments), all float32 and whole, so that they survive a change of world size.
    """

    step: int
    best_step: int
    best_nll: float | None
    history: tuple[dict[str, float | None], ...]
    tensors: dict[str, Tensor] = field(repr=False)


def save_checkpoint(place: Location, state: TrainingState, key: str) -> None:
    """Writes a checkpoint, its JSON last, and removes all but the newest two."""
    target = place / step_name(state.step)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.tensors.items()}
    target.write_bytes(TENSORS_NAME, safetensors.torch.save(tensors))
    values = plain_values(state) | {"key": key}
    target.write_json(STATE_NAME, values)
    older = [name for step, name in complete_checkpoints(place) if step < state.step]
    for name in older[: 1 - KEPT]:
        (place / name).remove()


def step_name(step: int) -> str:
    """Directory name of a step's checkpoint."""
    return f"step-{step:08d}"


def plain_values(state: TrainingState) -> dict[str, Any]:
    """The state's plain values."""
    return {name: value for name, value in vars(state).items() if name != "tensors"}


def complete_checkpoints(place: Location) -> list[tuple[int, str]]:
    """Steps and directory names of the complete checkpoints, oldest first."""
    found = []
    for name in place.names():
        match = STEP_NAME.fullmatch(name)
        if match and (place / name).exists(STATE_NAME):
            found.append((int(match[1]), name))
    return sorted(found)


def load_newest(place: Location, key: str) -> TrainingState | None:
    """The newest complete checkpoint of the same configuration, or None."""
    for _, name in reversed(complete_checkpoints(place)):
        values = (place / name).read_json(STATE_NAME)
        if values.pop("key") == key:
            values["history"] = tuple(values["history"])
            tensors = safetensors.torch.load((place / name).read_bytes(TENSORS_NAME))
            return TrainingState(**values, tensors=tensors)
    return None
