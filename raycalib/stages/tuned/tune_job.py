"""One combo to tune, and where it goes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raycalib.hashing import stable_hash
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.prompts import QUERY_VERSION
from raycalib.sources.facts.splits import TRAIN, VAL_SELECT
from raycalib.sources.parts import WITHOUT_HEADER, QueryHeader, header_identity
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.storage import Location
from raycalib.tuning.settings import UNDECISIVE, TuningSettings

VERSION = 1
"""Goes up where another adapter or classifier comes out of the same labels and settings."""


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
    reference: Location
    key: str
    identity: Mapping[str, Any]
    query_header: QueryHeader = WITHOUT_HEADER
    cell: str = ""

    @property
    def title(self) -> str:
        """The combo's name, with what tells it from others of a sweep."""
        method = "" if self.settings.method == "lora_prompt" else f"({self.settings.method})"
        return " ".join(part for part in (self.model.name, self.style, self.cell or method) if part)

    @property
    def adapter(self) -> Location:
        """Where the adapter is put."""
        return self.place / "adapter"

    @property
    def head(self) -> Location:
        """Where the classifier is put, of methods that have one."""
        return self.place / "head"

    @property
    def model_key(self) -> str:
        """Names the base model as it computes, and our code with it, for states that runs share."""
        return stable_hash(self.identity["weights"], self.dtype, self.settings.base_bits, self.identity["version"])


def tune_job(
    model: ModelSource,
    dtype: DtypeName,
    style: str,
    labelled: StageOutput,
    settings: TuningSettings,
    seed: int,
    out: Location,
    query_header: QueryHeader = WITHOUT_HEADER,
    weights: str = "",
) -> TuneJob:
    """The job of one combo, with its place and key; ``weights`` is the model's fingerprint, where it is known."""
    decisive = {name: value for name, value in asdict(settings).items() if name not in UNDECISIVE}
    if not settings.train_rows:  # as before there was such a setting
        del decisive["train_rows"]
    identity: dict[str, Any] = {
        "version": VERSION,
        "model": model.name,
        "weights": weights or model.fingerprint(),  # labels that are given know nothing of them
        "style": style,
        "settings": decisive,
        "seed": seed,
        "dtype": dtype,
        "query": QUERY_VERSION,
    }
    identity |= header_identity(query_header, (TRAIN, VAL_SELECT))
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
        reference=out / "reference" / f"{model.slug}-{style}",
        key=key,
        identity=identity,
        query_header=query_header,
    )


def training_record(job: TuneJob) -> dict[str, Any]:
    """Of a finished job, what the report shows: ``{model, style, n, best_step, best_nll, history}``.

    ``n`` is the number of rows behind each NLL of the history.
    """
    output = finished(job.place, job.key)
    assert output is not None, "it was tuned"
    n = output.manifest.counts["val_select"]
    return {"model": job.model.name, "style": job.style, "n": n, **job.place.read_json("training.json")}
