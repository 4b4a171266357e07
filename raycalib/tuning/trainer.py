"""Calibration tuning (LoRA + Prompt): the loop over steps, with evaluation, checkpoints and resumption."""

from collections.abc import Sequence
import math
import time

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import LossNotFiniteError, StoppedError
from raycalib.hashing import stable_seed
from raycalib.lm.adapters import attach_lora
from raycalib.lm.engines.memory import TokenBudget
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.logits import state_size
from raycalib.storage import Location
from raycalib.tuning.batches import collate
from raycalib.tuning.checkpoint import TrainingState, save_checkpoint, step_name
from raycalib.tuning.data_order import DataOrder
from raycalib.tuning.deepspeed_engine import make_engine, splits_weights
from raycalib.tuning.engines import MicroBatch, StepSums, TrainingEngine
from raycalib.tuning.figures import StepFigures, TuningProgress, plain_figures
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.layout_check import check_layout, check_tuned_logits, first_finite_row
from raycalib.tuning.left_out import rows_left_out
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.pace import Pace, peak_memory_gib
from raycalib.tuning.probe import Probe
from raycalib.tuning.reference import ReferenceStates, dtype_of_states
from raycalib.tuning.reference_pass import TOKENS_PER_PASS, compute_missing
from raycalib.tuning.schedule import branch_step, learning_rate
from raycalib.tuning.selection_figures import selection_figures
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.trunk import Trunk, first_state
from raycalib.tuning.tuned_weights import BEST_MARGINS, set_weights
from raycalib.tuning.validation import Validation
from raycalib.tuning.world import World

NOTICE_EVERY_S = 2.0


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
        hooks: Hooks | None = None,
        reference: Location | None = None,
        model_key: str = "",
        dtype: torch.dtype | None = None,
        trunk: Trunk | None = None,
    ) -> None:
        """Puts model, engine and the base model's states in place, from the newest checkpoint if there is one.

        Args:
            model: base model in evaluation mode.
            tokenizer: of the model.
            data: rows.
            settings: of the run.
            seed: of weights, dropout and data order.
            checkpoints: where the run's checkpoints lie.
            key: of the run; a checkpoint of another is not taken.
            world: this worker's place.
            hooks: what to tell whom.
            reference: where the base model's states lie, which runs may share; None is beside the checkpoints.
            model_key: names the base model's weights, where runs share states.
            dtype: to compute in, where weights are split among workers and may be given as they are stored; None is the
                model's.
            trunk: what the run shares with those of other lengths, of a schedule that lets it.

        Raises:
            ModelError: the model cannot be tuned.
        """
        self.data, self.settings, self.seed = data, settings, seed
        self.checkpoints, self.key, self.world, self.hooks = checkpoints, key, world, hooks or Hooks()
        self.order = DataOrder(len(data.train), settings.global_batch_size, seed)
        model.requires_grad_(False)
        self.peft_model = None if settings.method == "probe" else attach_lora(model, settings.lora, seed)
        self.objective = self._objective(model, tokenizer)
        if settings.gradient_checkpointing:
            _checkpoint_gradients(model)
        of_states = dtype_of_states(settings.reference_dtype, dtype or model.dtype)
        place = reference or checkpoints / "reference"
        self.reference = ReferenceStates(place, model_key or key, data.train, state_size(model), of_states)
        self.trunk, self.branch = trunk, branch_step(settings)  # step 0, where it has none, is never done
        self.state = world.from_first(lambda: first_state(checkpoints, key, trunk, self.branch, self.hooks.say))
        self.engine = self._engine(dtype)
        self._check_model()
        splits = splits_weights(settings, world)
        self.validation = Validation(data.val, self.engine, self.objective, world, splits, self.hooks.say)
        self.left_out = self._rows_left_out(None if splits else TokenBudget(TOKENS_PER_PASS))
        self.last_checkpoint = 0 if self.state is None else self.state.step
        self._asked, self._warning, self._stop = time.monotonic(), False, False

    def _objective(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> CalibrationObjective:
        labels, head = query_label_tokens(tokenizer), _new_head(model, self.settings, self.seed)
        objective = CalibrationObjective(model, labels, self.settings.kl_weight, self.settings.kl_kind, head)
        if self.world.is_first:
            objective.register_forward_pre_hook(lambda *_: self.hooks.alive())
        return objective

    def _engine(self, dtype: torch.dtype | None) -> TrainingEngine:
        """The engine, with weights and moments of the state that the run goes on from, if there is one."""
        if self.state is not None:
            set_weights(self.objective, self.state.tensors, "weight")
        engine = make_engine(self.objective, self.settings, self.world, dtype)
        if self.state is not None:
            engine.load_moments(self.state.tensors, self.state.step)
        return engine

    def _check_model(self) -> None:
        """Raises ModelError where what is computed for one row is not the model's own."""
        example = first_finite_row(self.engine, self.data.train, self.world.device)
        check_layout(self.engine, self.objective, example, self.world.device)
        check_tuned_logits(self.engine, self.objective, example, self.world.device)

    def _rows_left_out(self, budget: TokenBudget | None) -> frozenset[int]:
        """Rows that the base model has no finite numbers for, once its states at the true answers are there."""
        needed = sorted({row for step in range(self.settings.steps) for row in self.order.step_rows(step)})
        stored, shared = self.settings.kl_weight > 0, (self.engine, self.objective, self.world)
        if stored:
            compute_missing(self.reference, needed, *shared, self.hooks.show, budget, run=self.key)
        return rows_left_out(self.reference, needed, *shared, self.hooks.say, budget, has_states=stored, run=self.key)

    def run(self) -> TrainingState:
        """Trains to the end, from the newest checkpoint if there is one; returns the final state.

        Raises:
            LossNotFiniteError: with the step, the rows and the last checkpoint.
            StoppedError: its hooks said so; it goes on from there, if it is begun again.
            StorageError: a checkpoint cannot be written; those before it are intact.
        """
        state = self.state or TrainingState(step=0, best_step=0, best_nll=None, history=(), tensors={})
        pace, warned = Pace(), False
        for step in range(state.step, self.settings.steps):
            done, last = step + 1, step + 1 == self.settings.steps
            pace.start()
            sums, n_tokens, warning = self._train_step(step)
            pace.stop(self.settings.global_batch_size, n_tokens)
            if self.world.is_first and (done % self.settings.log_every == 0 or last):
                self._log(step, sums, pace)
            if done % self.settings.eval_every == 0 or last:
                state = self._evaluated(state, done, sums)
            is_due = done % self.settings.checkpoint_every == 0 or last or done == self.branch
            if is_due or (warning and not warned) or self._stop:
                state = self._checkpointed(state, done)
            if self._stop and not last:
                raise StoppedError(done, self.settings.steps)
            if warning and not warned and self.world.is_first:
                self.hooks.say(f"a worker is about to be taken away: checkpoint written at step {done}")
            warned = warning
        if state.best_nll is None:
            raise self.validation.nothing_to_choose()
        return state

    def release(self) -> PreTrainedModel:
        """The base model as it was given, without adapter and hooks, for another run in this process; not with ZeRO.

        Nothing else may be asked of this object then.
        """
        self.objective.reads.remove()
        if self.peft_model is not None:
            self.peft_model.unload()
        return self.objective.causal_lm

    def _train_step(self, step: int) -> tuple[StepSums, float, bool]:
        """Means over the step's rows, tokens of all workers, and whether one of them will soon be gone."""
        given = self.order.rank_rows(step, self.world.rank, self.world.size)
        # Of a row's place in the step and not of its worker, so that dropout does not depend on their number either.
        places = range(self.world.rank, self.settings.global_batch_size, self.world.size)
        drawn = [stable_seed("row", self.seed, step, place) for place in places]
        kept = [place for place, row in enumerate(given) if row not in self.left_out]
        rows, seeds = [given[place] for place in kept], [drawn[place] for place in kept]
        n_rows, size = self.settings.global_batch_size, self.settings.micro_batch_size
        parts = [slice(start, start + size) for start in range(0, -(-n_rows // self.world.size), size)]
        micro = [self._micro_batch(rows[part], seeds[part]) for part in parts]
        mine = self.engine.step(micro, n_rows, learning_rate(self.settings, step))
        n_tokens = sum(each.batch.n_tokens * each.weight for each in micro)
        # The first worker's clock alone says when to ask: Ray's answer waits until all of them do.
        due = self.world.is_first and time.monotonic() - self._asked >= NOTICE_EVERY_S
        query, divergence, tokens, asking = self.world.sum([mine.query, mine.divergence, n_tokens, float(due)])
        if asking:
            self._asked = time.monotonic()
            told = [float(self.hooks.checkpoint_now()), float(self.world.is_first and self.hooks.stop(None))]
            self._warning, self._stop = (by_any > 0 for by_any in self.world.sum(told))
        sums = StepSums(query / n_rows, divergence / n_rows, mine.grad_norm)
        finite = math.isfinite(query + divergence) and (sums.grad_norm is None or math.isfinite(sums.grad_norm))
        if not finite:
            self._stop_not_finite(step, rows, mine)
        return sums, tokens, self._warning

    def _stop_not_finite(self, step: int, rows: Sequence[int], mine: StepSums) -> None:
        """Raises on all workers, with the rows of those whose own loss is not finite, or all rows of the step."""
        guilty = not math.isfinite(mine.query + mine.divergence)
        names = self.world.gather([self.data.train[index].row_id if guilty else "" for index in rows])
        listed = [name for name in names if name] or [self.data.train[i].row_id for i in self.order.step_rows(step)]
        checkpoint = (self.checkpoints / step_name(self.last_checkpoint)).uri if self.last_checkpoint else "none yet"
        raise LossNotFiniteError(
            f"tuning: loss or gradient of step {step + 1} is not finite (rows {', '.join(listed)}); last good "
            f"checkpoint: {checkpoint}; lower tuning.lr or look at these rows"
        )

    def _micro_batch(self, members: Sequence[int], seeds: Sequence[int]) -> MicroBatch:
        """The pass over these rows; without rows, a pass of weight 0 that keeps this worker in step."""
        weight = 1.0 if members else 0.0
        members = members or [next(row for row in range(len(self.data.train)) if row not in self.left_out)]
        with_kl = self.settings.kl_weight > 0
        batch = collate([self.data.train[index] for index in members], with_kl, seeds).to(self.world.device)
        states = self.reference.take(members).to(self.world.device) if with_kl else None
        return MicroBatch(batch, states, weight)

    def _log(self, step: int, means: StepSums, pace: Pace) -> None:
        self.hooks.observe_step(
            StepFigures(
                step=step + 1,
                steps=self.settings.steps,
                loss=means.query + self.settings.kl_weight * means.divergence,
                query_loss=means.query,
                divergence=means.divergence,
                lr=learning_rate(self.settings, step),
                grad_norm=means.grad_norm,
                rows=pace.rows,
                tokens=pace.tokens,
                tokens_per_s=pace.rate(),
                memory_gib=peak_memory_gib(self.world.device),
            )
        )
        pace.reset()

    def _evaluated(self, state: TrainingState, step: int, means: StepSums) -> TrainingState:
        figures, margin = self._figures(step, means)
        if self.world.is_first:
            self.hooks.observe(figures)
        self._stop |= self.world.from_first(lambda: self.hooks.stop(figures))
        history = (*state.history, plain_figures(figures))
        if not figures.val_nll < (math.inf if state.best_nll is None else state.best_nll):
            return _with(state, history=history)
        best = {f"best/{name}": value.clone() for name, value in self.engine.weights().items()}
        best[BEST_MARGINS] = torch.from_numpy(margin).float()
        return _with(state, history=history, best_step=step, best_nll=figures.val_nll, tensors=best)

    def _figures(self, step: int, means: StepSums) -> tuple[TuningProgress, np.ndarray]:
        """Of an evaluation, with the log-odds behind it."""
        margin, labels = self.validation.judged()
        nll, ranked, ece = selection_figures(margin, labels)
        figures = TuningProgress(
            step=step,
            steps=self.settings.steps,
            query_loss=means.query,
            divergence=means.divergence,
            val_nll=nll,
            val_auroc=ranked,
            val_ece=ece,
        )
        return figures, margin

    def _checkpointed(self, state: TrainingState, step: int) -> TrainingState:
        best = {name: value for name, value in state.tensors.items() if name.startswith("best/")}
        weights = {f"weight/{name}": value for name, value in self.engine.weights().items()}
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            raise LossNotFiniteError(
                f"tuning: weights are not finite after step {step}; the last good checkpoint is in "
                f"{self.checkpoints.uri}; lower tuning.lr"
            )
        state = _with(state, step=step, tensors=best | weights | self.engine.moments())
        if self.world.is_first:
            if self.trunk is not None and step == self.branch:
                self.trunk.keep(state)
            save_checkpoint(self.checkpoints, state, self.key)  # last: a run that goes on from it has left the other
        self.world.barrier()
        self.last_checkpoint = step
        return state


def _checkpoint_gradients(model: PreTrainedModel) -> None:
    # transformers calls it so of late, and deprecates the older name.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _new_head(model: PreTrainedModel, settings: TuningSettings, seed: int) -> Probe | None:
    if settings.method == "lora_prompt":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed("head", seed))
        return Probe(state_size(model)).to(model.device)


def _with(state: TrainingState, **changes: object) -> TrainingState:
    return TrainingState(**(vars(state) | changes))
