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
from raycalib.tuning.rungs import Rungs
from raycalib.tuning.settings import OF_LENGTH, UNDECISIVE, TuningSettings
from raycalib.tuning.trunk import Trunk

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
    trunk: Trunk | None = None
    rungs: Rungs | None = None

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
    decisive = _decisive(settings)
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
    key, variant = stage_key("tuned", identity, [labelled.key]), f"{model.slug}-{style}"
    return TuneJob(
        model=model,
        dtype=dtype,
        style=style,
        settings=settings,
        seed=seed,
        labelled=labelled.place,
        shards=labelled.shards,
        input_key=labelled.key,
        place=stage_place(out, "tuned", variant, key),
        reference=out / "reference" / variant,
        key=key,
        identity=identity,
        query_header=query_header,
        trunk=_trunk(identity, labelled.key, out, variant) if settings.schedule == "wsd" else None,
    )


def _decisive(settings: TuningSettings) -> dict[str, Any]:
    """Settings that decide what comes of a run, where they change anything: keys are as before there were such."""
    decisive = {name: value for name, value in asdict(settings).items() if name not in UNDECISIVE}
    if not settings.train_rows:
        del decisive["train_rows"]
    if settings.schedule == "cosine":
        del decisive["schedule"], decisive["decay_share"]
    return decisive


def _trunk(identity: Mapping[str, Any], input_key: str, out: Location, variant: str) -> Trunk:
    """Of all jobs of the identity, whatever their steps and the share of their decay."""
    settings = {name: value for name, value in identity["settings"].items() if name not in OF_LENGTH}
    key = stage_key("trunk", dict(identity) | {"settings": settings}, [input_key])
    return Trunk(place=stage_place(out, "tuned_trunks", variant, key), key=key)


def training_record(job: TuneJob) -> dict[str, Any]:
    """Of a finished job, what the report shows: ``{model, style, n, best_step, best_nll, history}``.

    ``n`` is the number of rows behind each NLL of the history.
    """
    output = finished(job.place, job.key)
    assert output is not None, "it was tuned"
    n = output.manifest.counts["val_select"]
    return {"model": job.model.name, "style": job.style, "n": n, **job.place.read_json("training.json")}
