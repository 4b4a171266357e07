"""Hyper-parameters and best figures of a job in its event file, by which TensorBoard's HPARAMS tab compares jobs."""

from collections.abc import Mapping, Sequence
import math

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from raycalib.stages.boards.hyperparameters import Hyperparameters

BEST = {"best/nll": "val_nll", "best/ece": "val_ece", "best/auroc": "val_auroc"}
"""From a scalar of the HPARAMS tab to its name in the history of evaluations."""


def begin_hparams(writer: SummaryWriter, values: Hyperparameters) -> None:
    """Writes what the job is tuned with, so that it is in the table while it is tuned."""
    start, _ = _session(values)
    writer.file_writer.add_summary(start)


def end_hparams(
    writer: SummaryWriter, values: Hyperparameters, history: Sequence[Mapping[str, float | None]], best_step: int
) -> None:
    """Writes the figures of the best step, and that the job is done; a figure that is not known there is left out."""
    best = next((record for record in reversed(history) if record.get("step") == best_step), {})
    for tag, name in BEST.items():
        value = best.get(name)
        if value is not None and math.isfinite(value):
            writer.add_scalar(tag, value, best_step)
    _, end = _session(values)
    writer.file_writer.add_summary(end)


def _session(values: Hyperparameters) -> tuple[object, object]:
    """How a session begins and ends; the experiment is left out, which TensorBoard then reads from all of them."""
    _, start, end = hparams(values, dict.fromkeys(BEST))
    return start, end
