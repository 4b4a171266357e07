"""Our own training checkpoints: safetensors and JSON, complete or absent, with a hash of both.

Files may be damaged long after they were written whole. A checkpoint whose hash is not that of its files is passed over
for the one before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
import hashlib
import math
import re
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from raycalib.errors import DataError
from raycalib.hashing import canonical_json
from raycalib.storage import Location

STATE_NAME = "state.json"
TENSORS_NAME = "tensors.safetensors"
STEP_NAME = re.compile(r"step-(\d{8})")
KEPT = 2
HASH = "sha256"
"""Under which a checkpoint's JSON holds the hash of its files."""


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


def save_checkpoint(place: Location, state: TrainingState, key: str, kept: int | None = KEPT) -> None:
    """Writes a checkpoint, its JSON last, and removes all but the newest ``kept``; None removes none."""
    target = place / step_name(state.step)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.tensors.items()}
    content = safetensors.torch.save(tensors)
    target.write_bytes(TENSORS_NAME, content)
    values = plain_values(state) | {"key": key}
    target.write_json(STATE_NAME, values | {HASH: _hash(values, content)})
    if kept is None:
        return
    older = [name for step, name in complete_checkpoints(place) if step < state.step]
    for name in older[: 1 - kept]:
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


def load_newest(
    place: Location, key: str, say: Callable[[str], None] = lambda line: None, until: float = math.inf
) -> TrainingState | None:
    """The newest checkpoint of the same configuration that is whole, or None.

    Args:
        place: of the run's checkpoints.
        key: of the configuration.
        say: is told of checkpoints that are passed over, a line each.
        until: those of later steps are not looked at.

    Raises:
        StorageError: the place cannot be read.
    """
    damaged = None
    for step, name in reversed(complete_checkpoints(place)):
        if step > until:
            continue
        try:
            state = _load(place / name, key)
        except DataError as error:
            say(f"{error}: it is passed over")
            damaged = name
            continue
        if state is not None:
            return state
    if damaged:
        say("no checkpoint before it is whole: tuning starts from the beginning")
    return None


def _load(place: Location, key: str) -> TrainingState | None:
    """The checkpoint, or None where it is another configuration's.

    Raises:
        DataError: its files are not as they were written.
    """
    try:
        values = place.read_json(STATE_NAME)
        hashed = values.pop(HASH, None)  # checkpoints of earlier versions have none
        if not place.exists(TENSORS_NAME):
            raise DataError(f"{TENSORS_NAME} is missing")
        content = place.read_bytes(TENSORS_NAME)
        if hashed is not None and hashed != _hash(values, content):
            raise DataError("its files are not as they were written")
        if values.pop("key") != key:
            return None
        values["history"] = tuple(values["history"])
        return TrainingState(**values, tensors=safetensors.torch.load(content))
    except (DataError, KeyError, TypeError, ValueError, AttributeError, safetensors.SafetensorError) as error:
        cause = str(error).strip().split("\n")[0]
        raise DataError(f"the checkpoint {place.uri} is damaged ({cause})") from error


def _hash(values: dict[str, Any], tensors: bytes) -> str:
    """Of the plain values and the file of tensors."""
    return hashlib.sha256(canonical_json(values).encode() + tensors).hexdigest()
