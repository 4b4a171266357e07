"""Tunes one combo in this process, alone or with others: what Ray Train's workers and Ray Tune's trials share."""

from collections.abc import Callable
from dataclasses import asdict, replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import StoppedError
from raycalib.lm.adapters import save_adapter
from raycalib.lm.loading import chosen_dtype, load_tokenizer
from raycalib.lm.window import context_window
from raycalib.secrets import hide_message
from raycalib.stages.boards.hyperparameters import hyperparameters
from raycalib.stages.output import finished
from raycalib.stages.tuned.spent import Spending
from raycalib.stages.tuned.stops import Stops, why_stopped
from raycalib.stages.tuned.trial_files import FAILURE, TRAINING, VALIDATION, write_validation
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.base_models import BaseModels, base_model
from raycalib.stages.workers.pulse import Pulse
from raycalib.stages.workers.tuning_log import TuningLog
from raycalib.stages.workers.tuning_rows import check_classes, count_lines, tuning_data
from raycalib.storage import Manifest, write_manifest
from raycalib.tuning.checkpoint import TrainingState
from raycalib.tuning.figures import TuningProgress
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.probe_files import save_head
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.tuned_weights import best_adapter, best_head, best_margins
from raycalib.tuning.world import World


def tune(
    job: TuneJob,
    world: World,
    *,
    checkpoint_now: Callable[[], bool],
    observe: Callable[[TuningProgress], None] = lambda figures: None,
    base_models: BaseModels | None = None,
) -> None:
    """Tunes a combo, from its newest checkpoint if there is one, and leaves the adapter or classifier in its place.

    Args:
        job: the combo.
        world: this worker's place among those that tune it.
        checkpoint_now: whether this worker will soon be gone.
        observe: is given the figures of each evaluation.
        base_models: of the process, which tunes one job after the other by itself; None loads the model for this job.

    Raises:
        StoppedError: it was stopped on purpose; why is left in its place.
        RaycalibError: it cannot be tuned, and would fail again.
    """
    spending, pulse = Spending(job.place, world), Pulse(job.key if world.is_first else "")
    pulse.begin("loading the model")
    tokenizer = load_tokenizer(job.model)
    model = base_model(job, world) if base_models is None else base_models.take(job, world)
    max_tokens = context_window(model, job.settings.max_tokens) or job.settings.max_tokens
    data, counts = tuning_data(job, tokenizer, max_tokens)
    log = TuningLog(job.place, job.title, hyperparameters(job) if world.is_first else None, pulse, job.model.slug)
    if world.is_first:
        _begin(job, log, counts)
    check_classes(data, counts, job)

    stops = Stops(job)
    tuner = _tuner(job, world, model, tokenizer, data, _hooks(log, spending, stops, observe, checkpoint_now))
    if world.is_first and tuner.state:
        log.say(f"goes on from step {tuner.state.step}")
    try:
        state = tuner.run()
        if world.is_first:
            log.best(state.history, state.best_step)
    except StoppedError as stopped:
        if world.is_first:
            stops.leave(stopped.step)
            log.stopped(stopped.step, job.settings.steps, stops.reason)
        if base_models is not None:
            base_models.keep(job, tuner.release())
        raise
    finally:
        spending.write()
        log.close()
    if world.is_first:
        _leave(job, tuner, state, counts)
        log.end(job.settings.steps, state.best_step, state.best_nll)
    world.barrier()
    if base_models is not None:
        base_models.keep(job, tuner.release())


def _begin(job: TuneJob, log: TuningLog, counts: dict[str, int]) -> None:
    """Forgets an earlier attempt's failure, and says what is left out."""
    if job.place.exists(FAILURE):
        (job.place / FAILURE).remove()
    for line in count_lines(counts):
        log.say(line)


def _hooks(
    log: TuningLog,
    spending: Spending,
    stops: Stops,
    observe: Callable[[TuningProgress], None],
    checkpoint_now: Callable[[], bool],
) -> Hooks:
    def evaluated(figures: TuningProgress) -> None:
        spending.write()
        log.observe(figures)
        observe(figures)

    return Hooks(
        observe=evaluated,
        observe_step=log.observe_step,
        say=log.say,
        show=log.show,
        alive=log.pulse.beat,
        checkpoint_now=checkpoint_now,
        stop=stops.ask,
    )


def _tuner(
    job: TuneJob,
    world: World,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: TuningData,
    hooks: Hooks,
) -> Tuner:
    return Tuner(
        model,
        tokenizer,
        data,
        job.settings,
        seed=job.seed,
        checkpoints=job.place / "checkpoints",
        key=job.key,
        world=world,
        hooks=hooks,
        reference=job.reference,
        model_key=job.model_key,
        dtype=chosen_dtype(job.dtype, world.device),
        trunk=job.trunk,
    )


def _leave(job: TuneJob, tuner: Tuner, state: TrainingState, counts: dict[str, int]) -> None:
    """Writes what the best step has, and the manifest last."""
    if tuner.peft_model is not None:
        save_adapter(tuner.peft_model, job.adapter, best_adapter(state))
    if head := best_head(state):
        save_head(job.head, head)
    best = {"best_step": state.best_step, "best_nll": state.best_nll, "history": list(state.history)}
    job.place.write_json(TRAINING, best)
    has_judged = _leave_judged(job, tuner, state)
    manifest = Manifest(
        stage="tuned",
        key=job.key,
        config=dict(job.identity),
        details={"settings": asdict(job.settings)},
        inputs=(job.input_key,),
        counts=counts | {"not_finite": len(tuner.left_out)},
    )
    besides = (job.adapter.name, job.head.name, TRAINING)
    write_manifest(job.place, manifest, besides=(*besides, VALIDATION) if has_judged else besides)


def _leave_judged(job: TuneJob, tuner: Tuner, state: TrainingState) -> bool:
    """Writes what the best step says of the rows that it was chosen by; whether it is known."""
    margins = best_margins(state)
    if margins is None:  # an older checkpoint's
        return False
    if len(margins) < len(tuner.validation.rows):
        tuner.validation.judged()  # again which of them are left out, where nothing was evaluated since a restart
    rows = tuner.validation.judged_rows
    write_validation(job.place, [row.row_id for row in rows], [row.label for row in rows], margins)
    return True


def is_settled(job: TuneJob, run: str) -> bool:
    """Whether a job is tuned, or is stopped, or cannot be tuned, as an attempt of this run found."""
    if finished(job.place, job.key) is not None or why_stopped(job.place):
        return True
    return job.place.exists(FAILURE) and job.place.read_json(FAILURE).get("run") == run


def leave_failure(job: TuneJob, run: str, error: BaseException) -> None:
    """Notes in the job's place why it cannot be tuned, for attempts of this run and for the driver."""
    job.place.write_json(FAILURE, {"error": hide_message(str(error)), "run": run})


def with_half_the_rows(job: TuneJob) -> TuneJob | None:
    """The job with half as many rows in a pass, which tunes the same in less memory; None where they are one."""
    size = job.settings.micro_batch_size
    return None if size < 2 else replace(job, settings=replace(job.settings, micro_batch_size=size // 2))
