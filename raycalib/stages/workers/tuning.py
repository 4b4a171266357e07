"""What every worker of a tuning run does."""

from dataclasses import asdict
from functools import partial
import gc
import os
from typing import Any

import ray.train
import torch
from transformers import PreTrainedTokenizerBase

from raycalib.errors import DataError, LossNotFiniteError, RaycalibError
from raycalib.lm.adapters import save_adapter
from raycalib.lm.engines.memory import is_out_of_memory
from raycalib.lm.loading import chosen_device, chosen_dtype, load_as_stored, load_causal_lm, load_tokenizer
from raycalib.lm.window import TooLongError, context_window
from raycalib.prompts import Example
from raycalib.records import Row
from raycalib.secrets import hide_message
from raycalib.sources.parts import AS_ANSWERED
from raycalib.stages.lines.worker_streams import clean_errors, clean_streams
from raycalib.stages.output import finished
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.model import use_given_threads
from raycalib.stages.workers.tuning_log import TuningLog
from raycalib.storage import Manifest, read_rows, write_manifest
from raycalib.tuning.batches import TuningRow, answer_row, tuning_row
from raycalib.tuning.checkpoint import TrainingState
from raycalib.tuning.deepspeed_engine import splits_weights
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.label_counts import LabelCounts
from raycalib.tuning.probe_files import save_head
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.tuned_weights import best_adapter, best_head
from raycalib.tuning.world import World, current_world

COLUMNS = ("row_id", "split", "style", "context", "target", "target_prompt", "answer", "query_label")
FAILURE = "failure.json"
TRAINING = "training.json"


def train_loop(config: dict[str, Any]) -> None:
    """Tunes the jobs in order, skipping those another attempt finished.

    A loss that is not finite, which all workers see alike and would see again, is left in the job's place and not
    raised: Ray would start the workers anew for it, and the other jobs would wait. Other faults that would come again
    are left there too, and raised, since the other workers may wait for this one: those that are started anew pass the
    job over.
    """
    clean_streams()
    with clean_errors():
        _train(config)


def _train(config: dict[str, Any]) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    use_given_threads()
    world = current_world(chosen_device(config["use_gpu"]))
    for job in config["jobs"]:
        if not world.from_first(partial(_is_settled, job, config["run"])):
            try:
                _tune(job, world)
            except (RaycalibError, RuntimeError) as error:
                if not isinstance(error, RaycalibError) and not is_out_of_memory(error):
                    raise
                if world.is_first or not isinstance(error, LossNotFiniteError):
                    failure = {"error": hide_message(str(error)), "run": config["run"]}
                    job.place.write_json(FAILURE, failure)
                if not isinstance(error, LossNotFiniteError):
                    raise
            gc.collect()  # DeepSpeed's hooks tie engine and model in a cycle
            if world.device.type == "cuda":
                torch.cuda.empty_cache()
        world.barrier()


def _is_settled(job: TuneJob, run: str) -> bool:
    """Whether a job is tuned, or cannot be, as an attempt of this run found."""
    if finished(job.place, job.key) is not None:
        return True
    return job.place.exists(FAILURE) and job.place.read_json(FAILURE).get("run") == run


def _tune(job: TuneJob, world: World) -> None:
    tokenizer = load_tokenizer(job.model)
    if splits_weights(job.settings, world):  # mapped from the files: the whole may not fit on a GPU, nor in memory
        model = load_as_stored(job.model)
    else:
        model = load_causal_lm(job.model, job.dtype, world.device.type == "cuda", job.settings.base_bits)
    max_tokens = context_window(model, job.settings.max_tokens) or job.settings.max_tokens
    data, counts = tuning_data(job, tokenizer, max_tokens)
    log = TuningLog(job.place, job.title)
    if world.is_first:
        if job.place.exists(FAILURE):  # of an earlier attempt
            (job.place / FAILURE).remove()
        for line in count_lines(counts):
            log.say(line)
    check_classes(data, counts, job)
    tuner = Tuner(
        model,
        tokenizer,
        data,
        job.settings,
        seed=job.seed,
        checkpoints=job.place / "checkpoints",
        key=job.key,
        world=world,
        hooks=Hooks(
            observe=log.observe,
            observe_step=log.observe_step,
            say=log.say,
            show=log.show,
            checkpoint_now=preemption_notice,
        ),
        reference=job.reference,
        model_key=job.model_key,
        dtype=chosen_dtype(job.dtype, world.device),
    )
    if world.is_first and tuner.state:
        log.say(f"goes on from step {tuner.state.step}")
    try:
        state = tuner.run()
    finally:
        log.close()
    if world.is_first:
        _leave(job, tuner, state, counts)
        log.end(job.settings.steps, state.best_step, state.best_nll)
    world.barrier()


def _leave(job: TuneJob, tuner: Tuner, state: TrainingState, counts: dict[str, int]) -> None:
    """Writes what the best step has, and the manifest last."""
    if tuner.peft_model is not None:
        save_adapter(tuner.peft_model, job.adapter, best_adapter(state))
    if head := best_head(state):
        save_head(job.head, head)
    best = {"best_step": state.best_step, "best_nll": state.best_nll, "history": list(state.history)}
    job.place.write_json(TRAINING, best)
    manifest = Manifest(
        stage="tuned",
        key=job.key,
        config=dict(job.identity),
        details={"settings": asdict(job.settings)},
        inputs=(job.input_key,),
        counts=counts | {"not_finite": len(tuner.left_out)},
    )
    write_manifest(job.place, manifest, besides=(job.adapter.name, job.head.name, TRAINING))


def preemption_notice() -> bool:
    """Whether Ray knows that a node of the run will be taken away; it answers once all workers ask."""
    return ray.train.get_preemption_info() is not None


def tuning_data(job: TuneJob, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[TuningData, dict[str, int]]:
    """The labelled rows that are tuned and selected on, and what became of all of the job's style.

    ``in`` = ``train`` + ``val_select`` + ``other_split`` + ``unscored`` + ``too_long``; of the first two,
    ``cut_on_the_left`` lost the left of their text, few-shot examples first. A row of another split counts there,
    scored or not. The tuned stage's manifest has ``not_finite`` beside these: so many of ``train`` the base model has
    no finite numbers for.
    """
    make = tuning_row if job.settings.method == "lora_prompt" else answer_row
    by_split: dict[str, list[TuningRow]] = {"train": [], "val_select": []}
    counts = {"in": 0, "other_split": 0, "unscored": 0, "too_long": 0, "cut_on_the_left": 0}
    with_header = {split: job.query_header.value_for(split, "") == AS_ANSWERED for split in by_split}
    columns = (*COLUMNS, "prompt") if any(with_header.values()) else COLUMNS
    for row in read_rows(job.labelled, job.shards, columns):
        if row["style"] != job.style:
            continue
        counts["in"] += 1
        if row["split"] not in by_split:
            counts["other_split"] += 1
            continue
        if row["query_label"] is None:
            counts["unscored"] += 1
            continue
        try:
            tuned, n_cut = make(
                tokenizer,
                row["row_id"],
                _example(row),
                row["answer"],
                row["query_label"],
                max_tokens,
                with_header=with_header[row["split"]],
            )
        except TooLongError:
            counts["too_long"] += 1
            continue
        by_split[row["split"]].append(tuned)
        counts["cut_on_the_left"] += n_cut > 0
    counts |= {split: len(rows) for split, rows in by_split.items()}
    return TuningData(train=by_split["train"], val=by_split["val_select"]), counts


def check_classes(data: TuningData, counts: dict[str, int], job: TuneJob) -> None:
    """Checks once more that there are right and wrong answers, among the rows that are short enough to be read.

    Raises:
        DataError: those of one split are of one class, and the settings do not say to tune on that all the same.
    """
    if job.settings.force_one_class:
        return
    splits = {"training labels": data.train, "labels of val_select": data.val}
    faults = [LabelCounts.of(row.label for row in rows).nothing_said(name) for name, rows in splits.items()]
    if said := "; ".join(fault for fault in faults if fault):
        raise DataError(
            f"tuning: {said}, once {counts['too_long']:,} rows are left out whose answers are longer than the model "
            "reads; raise --tuning.max-tokens, or tune on one class all the same by --tuning.force-one-class"
        )


def count_lines(counts: dict[str, int]) -> list[str]:
    """What to say of rows that are not tuned on as they are; nothing where there are none."""
    remarks = {
        "unscored": "rows are left out, their answers have no verdict",
        "too_long": "rows are left out, their answers are longer than the model reads",
        "cut_on_the_left": "rows were longer than the model can read and lost the left of their text",
    }
    return [f"{counts[name]:,} {remark}" for name, remark in remarks.items() if counts[name]]


def _example(row: Row) -> Example:
    return Example(
        context=row["context"],
        target=row["target"],
        target_prompt=row["target_prompt"],
        prompt=row.get("prompt") or "",
    )
