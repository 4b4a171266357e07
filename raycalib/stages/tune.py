"""Tunes all combos in turn in one Ray Train run; start-up is paid once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
import gc
import os
from typing import Any
from uuid import uuid4

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
import torch
from transformers import PreTrainedTokenizerBase

from raycalib.lm.adapters import save_adapter
from raycalib.lm.loading import chosen_device, load_causal_lm, load_tokenizer
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.lm.window import context_window
from raycalib.prompts import QUERY_VERSION, Example
from raycalib.records import Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput, finished, stage_key, stage_place
from raycalib.stages.progress import say
from raycalib.stages.workers.model import use_given_threads
from raycalib.storage import Location, Manifest, read_rows, write_manifest
from raycalib.tuning.batches import TooLongError, TuningRow, tuning_row
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.trainer import Tuner, TuningData, TuningProgress, set_best
from raycalib.tuning.world import World, current_world

MAX_FAILURES = 3
COLUMNS = ("row_id", "split", "style", "context", "target", "target_prompt", "answer", "query_label")


@dataclass(frozen=True, kw_only=True)
class TuneJob:
    """One combo to tune: plain values, so that it pickles to workers."""

    model: ModelSource
    dtype: DtypeName
    style: str
    settings: TuningSettings
    seed: int
    labelled: Location
    shards: tuple[str, ...]
    input_key: str
    place: Location
    key: str

    @property
    def title(self) -> str:
        """The combo's name."""
        return f"{self.model.name} {self.style}"


def tune_job(
    model: ModelSource,
    dtype: DtypeName,
    style: str,
    labelled: StageOutput,
    settings: TuningSettings,
    seed: int,
    out: Location,
) -> TuneJob:
    """The job of one combo, with its place and key."""
    decisive = {
        name: value for name, value in asdict(settings).items() if name not in ("checkpoint_every", "zero_stage")
    }
    identity = {"style": style, "settings": decisive, "seed": seed, "dtype": dtype, "query": QUERY_VERSION}
    key = stage_key("tuned", identity, [labelled.key])
    return TuneJob(
        model=model,
        dtype=dtype,
        style=style,
        settings=settings,
        seed=seed,
        labelled=labelled.place,
        shards=labelled.shards,
        input_key=labelled.key,
        place=stage_place(out, "tuned", f"{model.slug}-{style}", key),
        key=key,
    )


def run_tuning(jobs: Sequence[TuneJob], out: Location, cluster: Cluster) -> list[StageOutput]:
    """Tunes the combos that are not finished; a combo cut off goes on from its last checkpoint.

    Raises:
        StageError: a combo could not be tuned; its checkpoints stay.
    """
    missing = [job for job in jobs if not finished(job.place, job.key)]
    if missing:
        cluster.check_trainer_fits()
        settings = cluster.settings
        say(f"  tuning {len(missing)} combo(s) with {settings.train_workers} worker(s)")
        trainer = TorchTrainer(
            _train_loop,
            train_loop_config={"jobs": missing, "use_gpu": settings.gpus_per_worker > 0},
            scaling_config=ScalingConfig(
                num_workers=settings.train_workers,
                use_gpu=settings.gpus_per_worker > 0,
                resources_per_worker=_resources(cluster),
            ),
            run_config=RunConfig(
                # Our own checkpoints resume a run, so each Ray Train run is a new one.
                name=f"tune-{uuid4().hex[:8]}",
                storage_path=(out / "ray_train").uri,
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            cause = str(error.__cause__ or error).strip().splitlines()
            raise StageError(
                f"tuning failed: {cause[-1] if cause else type(error).__name__}; checkpoints stay, "
                "run the same command again to go on from them"
            ) from error
    outputs = []
    for job in jobs:
        output = finished(job.place, job.key)
        if output is None:
            raise StageError(f"tuning of {job.title} left no manifest in {job.place.uri}; run the same command again")
        was_done = job not in missing
        outputs.append(StageOutput(place=output.place, manifest=output.manifest, was_done=was_done))
    return outputs


def _resources(cluster: Cluster) -> dict[str, float]:
    settings = cluster.settings
    resources = {"CPU": settings.cpus_per_worker}
    if settings.gpus_per_worker:
        resources["GPU"] = settings.gpus_per_trainer
    return resources


def _train_loop(config: dict[str, Any]) -> None:
    """What every worker runs: the jobs in order, skipping those another attempt finished."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    use_given_threads()
    world = current_world(chosen_device(config["use_gpu"]))
    for job in config["jobs"]:
        if not world.from_first(partial(_is_finished, job)):
            _tune(job, world)
            gc.collect()  # DeepSpeed's hooks tie engine and model in a cycle
            if world.device.type == "cuda":
                torch.cuda.empty_cache()
        world.barrier()


def _is_finished(job: TuneJob) -> bool:
    return finished(job.place, job.key) is not None


def _tune(job: TuneJob, world: World) -> None:
    tokenizer = load_tokenizer(job.model)
    model = load_causal_lm(job.model, job.dtype, world.device.type == "cuda")
    max_tokens = context_window(model, job.settings.max_tokens) or job.settings.max_tokens
    data, counts = tuning_data(job, tokenizer, max_tokens)
    if world.is_first:
        for line in count_lines(counts):
            say(f"  tune {job.title}: {line}")

    def observe(figures: TuningProgress) -> None:
        say(
            f"  tune {job.title}: step {figures.step}/{figures.steps} · query loss {figures.query_loss:.3f} · "
            f"KL {figures.divergence:.4f} · val NLL {figures.val_nll:.3f} · val AUROC {figures.val_auroc:.3f}"
        )

    tuner = Tuner(
        model,
        tokenizer,
        data,
        job.settings,
        seed=job.seed,
        checkpoints=job.place / "checkpoints",
        key=job.key,
        world=world,
        observe=observe,
    )
    state = tuner.run()
    set_best(tuner, state)
    if world.is_first:
        save_adapter(tuner.peft_model, job.place / "adapter")
        job.place.write_json(
            "training.json",
            {"best_step": state.best_step, "best_nll": state.best_nll, "history": list(state.history)},
        )
        write_manifest(
            job.place,
            Manifest(
                stage="tuned",
                key=job.key,
                config={"model": job.model.name, "style": job.style, "seed": job.seed, "tuning": asdict(job.settings)},
                inputs=(job.input_key,),
                counts=counts,
            ),
        )
    world.barrier()


def tuning_data(job: TuneJob, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[TuningData, dict[str, int]]:
    """The labelled rows that are tuned and selected on, and what became of all of the job's style.

    ``in`` = ``train`` + ``val_select`` + ``other_split`` + ``unscored`` + ``too_long``; of the first two,
    ``cut_on_the_left`` lost the left of their context. A row of another split counts there, scored or not.
    """
    by_split: dict[str, list[TuningRow]] = {"train": [], "val_select": []}
    counts = {"in": 0, "other_split": 0, "unscored": 0, "too_long": 0, "cut_on_the_left": 0}
    for row in read_rows(job.labelled, job.shards, COLUMNS):
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
            tuned, n_cut = tuning_row(
                tokenizer, row["row_id"], _example(row), row["answer"], row["query_label"], max_tokens
            )
        except TooLongError:
            counts["too_long"] += 1
            continue
        by_split[row["split"]].append(tuned)
        counts["cut_on_the_left"] += n_cut > 0
    counts |= {split: len(rows) for split, rows in by_split.items()}
    return TuningData(train=by_split["train"], val=by_split["val_select"]), counts


def count_lines(counts: dict[str, int]) -> list[str]:
    """What to say of rows that are not tuned on as they are; nothing where there are none."""
    remarks = {
        "unscored": "rows are left out, their answers have no verdict",
        "too_long": "rows are left out, their answers are longer than the model reads",
        "cut_on_the_left": "rows were longer than the model can read and lost the left of their context",
    }
    return [f"{counts[name]:,} {remark}" for name, remark in remarks.items() if counts[name]]


def _example(row: Row) -> Example:
    return Example(context=row["context"], target=row["target"], target_prompt=row["target_prompt"])
