"""Calibration tuning (LoRA + Prompt): the loop over steps, with evaluation, checkpoints and resumption."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import DataError, RaycalibError
from raycalib.hashing import stable_seed
from raycalib.lm.adapters import attach_lora
from raycalib.lm.batching import length_batches
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.metrics import auroc
from raycalib.storage import Location
from raycalib.tuning.batches import TuningBatch, TuningRow, collate
from raycalib.tuning.checkpoint import TrainingState, load_newest, save_checkpoint
from raycalib.tuning.data_order import DataOrder
from raycalib.tuning.engines import MicroBatch, StepSums, TrainingEngine, make_engine, trainable
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.temperature import fit_temperature
from raycalib.tuning.world import World

EVALUATION_TOKENS = 8192


class LossNotFiniteError(RaycalibError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class TuningProgress:
    """What is reported at each evaluation: means over the step's rows, and figures on ``val_select``.

    ``val_nll`` is taken at the temperature that suits ``val_select`` best: the temperature is fitted later, on other
    rows, so a step is judged by what it tells apart and not by how sharp it is.
    """

    step: int
    steps: int
    query_loss: float
    divergence: float
    val_nll: float
    val_auroc: float


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """Rows to tune on and to select the step by."""

    train: Sequence[TuningRow]
    val: Sequence[TuningRow]

    def __post_init__(self) -> None:
        if not self.train or not self.val:
            raise DataError(
                f"tuning: {len(self.train)} training and {len(self.val)} val_select rows with a label; needs both"
            )


class Tuner:
    """Tunes one model on one dataset; every worker of the world builds one and calls ``run``."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        data: TuningData,
        settings: TuningSettings,
        *,
        seed: int,
        checkpoints: Location,
        key: str,
        world: World,
        observe: Callable[[TuningProgress], None],
    ) -> None:
        self.data, self.settings, self.seed = data, settings, seed
        self.checkpoints, self.key, self.world, self.observe = checkpoints, key, world, observe
        self.order = DataOrder(len(data.train), settings.global_batch_size, seed)
        self.peft_model = attach_lora(model, settings.lora, seed)
        self.objective = CalibrationObjective(
            self.peft_model.get_base_model(), query_label_tokens(tokenizer), settings.kl_decay, settings.kl_kind
        )
        self.base_states = self._reference_states()
        self.state = world.from_first(lambda: load_newest(checkpoints, key))
        if self.state is not None:
            _set_weights(self.objective, self.state.tensors, "weight")
        self.engine: TrainingEngine = make_engine(self.objective, settings, world)
        if self.state is not None:
            self.engine.load_moments(self.state.tensors, self.state.step)

    @torch.no_grad()
    def _reference_states(self) -> dict[int, Tensor]:
        """The base model's final states at the KL positions of each row that this worker reads, computed once.

        The fresh adapter changes nothing, so this is the base model.
        """
        if self.settings.kl_decay == 0:
            return {}
        needed = sorted({row for step in range(self.settings.steps) for row in self._rank_rows(step)})
        self.objective.eval()
        states: dict[int, Tensor] = {}
        lengths = [self.data.train[index].length for index in needed]
        for places in length_batches(lengths, EVALUATION_TOKENS):
            members = [needed[place] for place in places]
            rows = [self.data.train[index] for index in members]
            found = self.objective.kl_states(self._collate(rows)).cpu()
            counts = [row.n_target for row in rows]
            states.update(zip(members, found.split(counts), strict=True))
        return states

    def _rank_rows(self, step: int) -> list[int]:
        return self.order.rank_rows(step, self.world.rank, self.world.size)

    def _collate(self, rows: Sequence[TuningRow], with_kl: bool = True, seeds: Sequence[int] = ()) -> TuningBatch:
        return collate(rows, with_kl, seeds).to(self.world.device)

    def run(self) -> TrainingState:
        """Trains to the end, from the newest checkpoint if there is one; returns the final state.

        Raises:
            LossNotFiniteError: with the step, the rows and the last checkpoint.
        """
        state = self.state or TrainingState(step=0, best_step=0, best_nll=None, history=(), tensors={})
        for step in range(state.step, self.settings.steps):
            sums = self._train_step(step)
            done = step + 1
            last = done == self.settings.steps
            if done % self.settings.eval_every == 0 or last:
                state = self._evaluated(state, done, sums)
            if done % self.settings.checkpoint_every == 0 or last:
                state = self._checkpointed(state, done)
        return state

    def _train_step(self, step: int) -> StepSums:
        self.objective.train()
        rows = self._rank_rows(step)
        # Of a row's place in the step and not of its worker, so that dropout does not depend on their number either.
        places = range(self.world.rank, self.settings.global_batch_size, self.world.size)
        seeds = [stable_seed("row", self.seed, step, place) for place in places]
        share = -(-self.settings.global_batch_size // self.world.size)
        size = self.settings.micro_batch_size
        parts = [slice(start, start + size) for start in range(0, share, size)]
        micro = [self._micro_batch(rows[part], seeds[part]) for part in parts]
        sums = self.engine.step(micro, self.settings.global_batch_size, self._lr(step))
        if not math.isfinite(sums.query + sums.divergence):
            names = [self.data.train[index].row_id for index in rows]
            raise LossNotFiniteError(
                f"tuning: the loss of step {step + 1} is not finite (rows {', '.join(names)}); "
                f"checkpoints are in {self.checkpoints.uri}; lower tuning.lr or look at these rows"
            )
        return sums

    def _micro_batch(self, members: Sequence[int], seeds: Sequence[int]) -> MicroBatch:
        """The pass over these rows; without rows, a pass of weight 0 that keeps this worker in step."""
        weight = 1.0 if members else 0.0
        members = members or [self._rank_rows(0)[0]]
        with_kl = self.settings.kl_decay > 0
        batch = self._collate([self.data.train[index] for index in members], with_kl, seeds)
        states = torch.cat([self.base_states[index] for index in members]).to(self.world.device) if with_kl else None
        return MicroBatch(batch, states, weight)

    def _lr(self, step: int) -> float:
        """Linear warm-up, then a cosine to zero."""
        warm = min(1.0, (step + 1) / self.settings.warmup_steps) if self.settings.warmup_steps else 1.0
        return self.settings.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.settings.steps))

    def _evaluated(self, state: TrainingState, step: int, sums: StepSums) -> TrainingState:
        margin = self.validation_margins()
        labels = np.array([row.label for row in self.data.val])
        figures = TuningProgress(
            step=step,
            steps=self.settings.steps,
            query_loss=sum(self.world.gather([sums.query])) / self.settings.global_batch_size,
            divergence=sum(self.world.gather([sums.divergence])) / self.settings.global_batch_size,
            val_nll=fit_temperature(margin, labels).nll_after if np.isfinite(margin).all() else math.inf,
            val_auroc=float(auroc(labels, margin)),
        )
        if self.world.is_first:
            self.observe(figures)
        history = (*state.history, _plain(figures))
        if not figures.val_nll < (math.inf if state.best_nll is None else state.best_nll):
            return _with(state, history=history)
        best = {f"best/{name}": value.detach().clone() for name, value in trainable(self.objective).items()}
        return _with(state, history=history, best_step=step, best_nll=figures.val_nll, tensors=best)

    def _checkpointed(self, state: TrainingState, step: int) -> TrainingState:
        best = {name: value for name, value in state.tensors.items() if name.startswith("best/")}
        weights = {f"weight/{name}": value.detach() for name, value in trainable(self.objective).items()}
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            raise LossNotFiniteError(
                f"tuning: weights are not finite after step {step}; the last good checkpoint is in "
                f"{self.checkpoints.uri}; lower tuning.lr"
            )
        state = _with(state, step=step, tensors=best | weights | self.engine.moments())
        if self.world.is_first:
            save_checkpoint(self.checkpoints, state, self.key)
        self.world.barrier()
        return state

    @torch.no_grad()
    def validation_margins(self) -> np.ndarray:
        """(n,) float64 log-odds that the validation answers are correct; all workers call it together."""
        self.objective.eval()
        mine = list(self.data.val[self.world.rank :: self.world.size])
        margins = np.zeros(len(mine))
        for places in length_batches([len(row.query_ids) for row in mine], EVALUATION_TOKENS):
            batch = self._collate([mine[place] for place in places], with_kl=False)
            logits = self.objective.query_logits(batch).double()
            margins[places] = (logits[:, 1] - logits[:, 0]).cpu().numpy()
        return np.array(self.world.gather(margins.tolist()))


def set_best(tuner: Tuner, state: TrainingState) -> None:
    """Puts the weights of the state's best step in place."""
    _set_weights(tuner.objective, state.tensors, "best")


def _set_weights(objective: nn.Module, tensors: dict[str, Tensor], kind: str) -> None:
    with torch.no_grad():
        for name, parameter in trainable(objective).items():
            parameter.copy_(tensors[f"{kind}/{name}"])


def _with(state: TrainingState, **changes: object) -> TrainingState:
    return TrainingState(**(vars(state) | changes))


def _plain(figures: TuningProgress) -> dict[str, float | None]:
    """The figures as JSON has them: undefined is null."""
    values = {name: float(value) for name, value in vars(figures).items() if name != "steps"}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
