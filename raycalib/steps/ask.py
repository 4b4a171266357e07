"""A file of questions, answered with a confidence each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raycalib.bundles.base import base_source
from raycalib.bundles.bundle import Bundle
from raycalib.bundles.layout import part_files
from raycalib.bundles.record import RECORD
from raycalib.bundles.thresholds import kept
from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS
from raycalib.lm.names import DtypeName
from raycalib.printable import printable_json
from raycalib.records import TOLD
from raycalib.stages.asked_questions import write_asked
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.pools.shard_stage import run_shard_stage
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.stages.workers.told import ToldConfig, ToldWorker
from raycalib.storage import Location, check_can_write

VERSION = 1
"""Goes up where other answers or confidences come out of the same bundle and questions."""
ANSWERS_NAME = "answers.jsonl"
LEFT_OUT = ("row_id", "error")


@dataclass(frozen=True, kw_only=True)
class AskedFile:
    """What is asked of a bundle.

    Attributes:
        questions: a jsonl, csv or parquet file.
        out: where answers are written.
        bundle: whom to ask.
        method: of the bundle.
        base: of the base model, where it is not where the bundle says.
        threshold: the least confidence that is asked for; None asks for none.
        dtype: of the weights.
        rows_per_shard: questions that are lost at most where a worker dies.
        max_failed: share of rows that may fail.
        ray: the cluster and its workers.
    """

    questions: str
    out: str
    bundle: Bundle
    method: str
    base: str | None = None
    threshold: float | None = None
    dtype: DtypeName = "auto"
    rows_per_shard: int = 256
    max_failed: float = 0.05
    ray: RaySettings = field(default_factory=RaySettings)


def ask_file(asked: AskedFile) -> Location:
    """Answers all questions on the cluster, and writes ``answers.jsonl``; killed, it goes on where it was.

    Raises:
        RaycalibError: the first problem, in one line.
    """
    out, bundle = Location(asked.out).absolute(), asked.bundle
    base_source(bundle.record.base, asked.base)  # better said before anything is written
    check_can_write(out)
    questions = write_asked(asked.questions, out, asked.rows_per_shard)
    dtype: DtypeName = asked.dtype
    if dtype == "auto":
        dtype = "bfloat16" if asked.ray.on_gpu else "float32"
    config = ToldConfig(
        bundle=_within(out, bundle).uri,
        method=asked.method,
        base=asked.base,
        use_gpu=asked.ray.on_gpu,
        dtype=dtype,
        max_batch_tokens=DEFAULT_MAX_BATCH_TOKENS,
    )
    stage = ShardStage(
        name="told",
        variant=f"{bundle.record.base.name.replace(':', '-').replace('/', '-')}-{bundle.record.style}",
        worker=ToldWorker,
        config=config,
        identity={
            "version": VERSION,
            "bundle": bundle.record.key,
            "method": asked.method,
            "dtype": dtype,
            "base": None if asked.base is None else base_source(bundle.record.base, asked.base).fingerprint(),
        },
        schema=TOLD,
        needs_model=True,
        gpus=asked.ray.gpus_per_transformer,
        bounds=Bounds(max_failed=asked.max_failed, max_unscored=1.0),
    )
    cluster = Cluster(asked.ray, out)
    try:
        told = run_shard_stage(stage, questions, out, cluster)
    finally:
        cluster.close()
    _write(told, out, asked.threshold)
    return out


def _within(out: Location, bundle: Bundle) -> Location:
    """The bundle's files below the run's directory, which all nodes see; the driver's disk or cache they may not."""
    place = out / "bundle" / bundle.record.key
    if not place.exists(RECORD):
        for name in part_files(bundle.place, bundle.record.methods):
            place.write_bytes(name, bundle.place.read_bytes(name))
        place.write_json(RECORD, bundle.record.as_json())
    return place


def _write(told: StageOutput, out: Location, threshold: float | None) -> None:
    """One line of JSON for each question, in the file's order."""
    n = n_known = n_kept = 0
    total = 0.0
    with out.writing(ANSWERS_NAME) as file:
        for row in told.rows():
            line = _line(row, threshold)
            file.write(f"{printable_json(line)}\n".encode())
            n, n_kept = n + 1, n_kept + (not line["abstain"])
            if row["p_correct"] is not None:
                n_known, total = n_known + 1, total + row["p_correct"]
    again = " (finished before)" if told.was_done else ""
    mean = f", {total / n_known:.0%} of them expected to be right" if n_known else ""
    shown = "" if threshold is None else f"; {n_kept:,} are as sure as {threshold:.1%}"
    say(f"{n:,} questions, {n_known:,} answers with a confidence{mean}{shown}{again}")
    say(f"Answers: {out.uri}/{ANSWERS_NAME}")


def _line(row: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name not in LEFT_OUT}
    return values | {"abstain": not kept(row["p_correct"], threshold), "threshold": threshold}
