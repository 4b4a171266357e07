"""Optimizer steps on the tuning loss: what the loop needs of an engine, and the one of plain PyTorch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from raycalib.errors import ModelError
from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.objective import CalibrationObjective, Found, LossParts
from raycalib.tuning.settings import TuningSettings

MOMENTS = ("exp_avg", "exp_avg_sq")


class MicroBatch(NamedTuple):
    """Rows of one pass; ``weight`` 0 where a worker has no rows left and only keeps step with the others."""

    batch: TuningBatch
    base_states: Tensor | None
    weight: float = 1.0


class StepSums(NamedTuple):
    """Sums over this worker's rows of a step, and the whole step's gradient norm before clipping, where it is known."""

    query: float
    divergence: float
    grad_norm: float | None


class TrainingEngine(Protocol):
    """What the tuning loop needs. In a group of workers all call each method together."""

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step on the mean loss over the step's global rows."""

    def read(self, batch: TuningBatch, wanted: Found) -> Tensor:
        """What a pass without gradients or dropout finds; see ``CalibrationObjective.forward``."""

    def weights(self) -> dict[str, Tensor]:
        """The trainable weights by name, whole; they may change with the next step."""

    def moments(self) -> dict[str, Tensor]:
        """``exp_avg/<name>`` and ``exp_avg_sq/<name>``, whole."""

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets what ``moments`` returned."""


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The module's trainable parameters by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def adamw(objective: CalibrationObjective, settings: TuningSettings) -> torch.optim.AdamW:
    """AdamW on the trainable parameters."""
    return torch.optim.AdamW(trainable(objective).values(), lr=settings.lr, weight_decay=settings.weight_decay)


def set_lr(groups: Sequence[dict[str, Any]], lr: float) -> None:
    """Sets the learning rate of all of an optimizer's groups."""
    for group in groups:
        group["lr"] = lr


class TorchEngine:
    """One process, no DeepSpeed: for a notebook, one GPU, and as the yardstick of the other engine."""

    def __init__(self, objective: CalibrationObjective, settings: TuningSettings) -> None:
        self.objective = objective
        self.settings = settings
        self.optimizer = adamw(objective, settings)

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step; see ``TrainingEngine``."""
        self.objective.train()
        query = divergence = 0.0
        for micro in micro_batches:
            parts = cast(LossParts, self.objective(micro.batch, micro.base_states))
            (parts.total * (micro.weight / n_global_rows)).backward()
            query += float(parts.query.detach()) * micro.weight
            divergence += float(parts.divergence.detach()) * micro.weight
        _check_gradients(self.objective)
        norm = nn.utils.clip_grad_norm_(trainable(self.objective).values(), self.settings.max_grad_norm)
        set_lr(self.optimizer.param_groups, lr)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepSums(query, divergence, float(norm))

    @torch.no_grad()
    def read(self, batch: TuningBatch, wanted: Found) -> Tensor:
        """A pass without gradients; see ``TrainingEngine``."""
        return cast(Tensor, self.objective.eval()(batch, wanted=wanted))

    def weights(self) -> dict[str, Tensor]:
        """The weights; see ``TrainingEngine``."""
        return {name: parameter.detach() for name, parameter in trainable(self.objective).items()}

    def moments(self) -> dict[str, Tensor]:
        """The moments; see ``TrainingEngine``."""
        return plain_moments(self.optimizer, trainable(self.objective))

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets the moments; see ``TrainingEngine``."""
        load_plain_moments(self.optimizer, trainable(self.objective), tensors, steps_done)


def _check_gradients(objective: CalibrationObjective) -> None:
    """Raises ModelError where the way back does not reach all that is tuned, which would go unseen otherwise."""
    parameters = trainable(objective)
    without = [name for name, parameter in parameters.items() if parameter.grad is None]
    if without:
        remedy = "name other layers with --tuning.lora.targets, or report its architecture"
        if getattr(objective.causal_lm, "quantization_method", None):
            remedy = "bitsandbytes 0.50 loses them with 4 bits on a CPU: use --tuning.base-bits 16 or 8, or a GPU"
        raise ModelError(
            f"model: no gradient reaches {len(without)} of {len(parameters)} tuned tensors of "
            f"{type(objective.causal_lm).__name__}, such as {without[0]}; {remedy}"
        )


def plain_moments(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Moments of an optimizer that keeps them whole."""
    return {
        f"{key}/{name}": optimizer.state[parameter][key] for name, parameter in parameters.items() for key in MOMENTS
    }


def load_plain_moments(
    optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor], steps_done: int
) -> None:
    """Sets the moments of an optimizer that keeps them whole."""
    for name, parameter in parameters.items():
        state = optimizer.state[parameter]
        state["step"] = torch.tensor(float(steps_done))
        for key in MOMENTS:
            state[key] = tensors[f"{key}/{name}"].to(parameter.device, torch.float32).clone()
