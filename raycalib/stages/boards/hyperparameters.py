"""What a job is tuned with, as boards show it beside other jobs: readable values under the same names for all."""

from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.tuning.settings import ProbeSettings

Hyperparameters = dict[str, str | int | float]

ALL_ROWS = "all"
NOT_USED = "none"


def combo_of(job: TuneJob) -> str:
    """The job's combo, as ``llama2:7b/oe``."""
    return f"{job.model.name}/{job.style}"


def hyperparameters(job: TuneJob) -> Hyperparameters:
    """Of a job that is tuned through its model; a divergence that the method has not counts as 0 and ``none``."""
    settings = job.settings
    return {
        "combo": combo_of(job),
        "model": job.model.name,
        "style": job.style,
        "method": settings.method,
        "kl_decay": settings.kl_weight,
        "kl_kind": settings.kl_kind if settings.kl_weight else NOT_USED,
        "steps": settings.steps,
        "lr": settings.lr,
        "train_rows": settings.train_rows or ALL_ROWS,
        "seed": job.seed,
        "schedule": settings.schedule,
        "global_batch_size": settings.global_batch_size,
        "lora_rank": NOT_USED if settings.method == "probe" else settings.lora.rank,
    }


def probe_hyperparameters(
    model: str, style: str, settings: ProbeSettings, train_rows: int, seed: int
) -> Hyperparameters:
    """Of a probe on stored features."""
    return {
        "combo": f"{model}/{style}",
        "model": model,
        "style": style,
        "method": "probe",
        "kl_decay": 0.0,
        "kl_kind": NOT_USED,
        "steps": settings.steps,
        "lr": settings.lr,
        "train_rows": train_rows or ALL_ROWS,
        "seed": seed,
        "schedule": "cosine",
        "global_batch_size": settings.batch_size,
        "lora_rank": NOT_USED,
    }
