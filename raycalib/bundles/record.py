"""``raycalib.json``: what a bundle says of itself, checked against its schema before anything else is read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
import json
from typing import Any, Literal

from raycalib.errors import ModelError
from raycalib.storage import Location

RECORD, SCHEMA = "raycalib.json", 1
LARGEST_RECORD = 4 * 2**20
"""Bytes of the file at most."""

Where = Literal["hub", "local", "embedded"]
CalibrationKind = Literal["temperature", "platt", "none"]


@dataclass(frozen=True, kw_only=True)
class BaseRecord:
    """The model that a bundle belongs to.

    Attributes:
        name: as the run called it.
        path: a hub id, a directory, or the name of an embedded stand-in.
        where: which of these.
        revision: the commit of a hub id.
        fingerprint: of its weights and tokenizer.
    """

    name: str
    path: str
    where: Where
    revision: str | None
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """How a method's log-odds become a probability, and what that was fitted on.

    Attributes:
        kind: ``none`` where they do not.
        reason: why they do not.
        n: rows of ``val_calibrate``.
        nll_before, nll_after: on them, in nats.
    """

    kind: CalibrationKind
    reason: str
    n: int
    nll_before: float | None
    nll_after: float | None


@dataclass(frozen=True, kw_only=True)
class FiguresRecord:
    """Figures of a method on one set that nothing was fitted on; metrics as ``{value, low, high}``."""

    set: str
    n: int
    n_unscored: int
    metrics: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, kw_only=True)
class MethodRecord:
    """What a bundle knows of a method that it holds."""

    calibration: CalibrationRecord
    figures: Sequence[FiguresRecord] = ()


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """Where the answers came from.

    Attributes:
        source: of the questions.
        grader: what called answers right or wrong.
        k_shot: whether they were given after examples.
        rows: labelled ones, by split.
        labelled: the run's directory of them, below ``labelled/``; empty where it is not known.
    """

    source: str
    grader: str
    k_shot: bool
    rows: Mapping[str, int]
    labelled: str = ""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Of answers with at least this confidence at most ``max_risk`` are wrong, with probability 1 - ``delta``.

    Attributes:
        method: whose confidence.
        max_risk: ε, the share of wrong answers among those kept.
        delta: δ, the probability over the calibration rows that it is more.
        threshold: the least confidence that is kept; None where none can promise that.
        n: calibration rows.
        n_kept, n_wrong: of them, at the threshold.
    """

    method: str
    max_risk: float
    delta: float
    threshold: float | None
    n: int
    n_kept: int
    n_wrong: int


@dataclass(frozen=True, kw_only=True)
class BundleRecord:
    """All of ``raycalib.json``.

    Attributes:
        key: hash of all that the bundle was made from.
        base: the model.
        style: of its questions, ``oe`` or ``choice``.
        query_version: of the query's text.
        label_tokens: of its labels, no and yes.
        dtype: that the figures were computed in.
        max_new_tokens: of an answer.
        max_tokens: of a query; a longer one loses its left.
        default: the method that is used where none is named.
        methods: what the bundle holds.
        trained_on: where its answers came from.
        certificates: what thresholds promise.
        versions: of Python and the packages that matter.
        git_commit: of the code.
    """

    key: str
    base: BaseRecord
    style: str
    query_version: str
    label_tokens: tuple[int, int]
    dtype: str
    max_new_tokens: int
    max_tokens: int
    default: str
    methods: Mapping[str, MethodRecord]
    trained_on: TrainedOn
    certificates: Sequence[Certificate] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    git_commit: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the file holds them.

        Raises:
            ModelError: they are not what the schema allows.
        """
        values = {"schema": SCHEMA, **json.loads(json.dumps(asdict(self)))}
        _check(values, f"the {RECORD} to be written")
        return values


def read_record(place: Location) -> BundleRecord:
    """What a bundle says of itself.

    Raises:
        StorageError: the file cannot be read.
        ModelError: it is none, or says what no bundle can.
    """
    uri = (place / RECORD).uri
    content = place.read_bytes(RECORD, LARGEST_RECORD + 1)
    if len(content) > LARGEST_RECORD:
        raise ModelError(f"bundle: {uri} is larger than {LARGEST_RECORD:,} bytes, which no bundle needs; do not use it")
    try:
        values = json.loads(content, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"bundle: {uri} is no JSON: {_first_line(error)}; copy the bundle again") from error
    version = values.get("schema") if isinstance(values, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise ModelError(
            f"bundle: {uri} has the schema {version}, this raycalib knows up to {SCHEMA}: upgrade it (pip install -U "
            "raycalib)"
        )
    _check(values, uri)
    return _record(values)


def _check(values: Any, uri: str) -> None:
    """Raises ModelError with the first place where values are not what the schema allows."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(values))
    if error is not None:
        found = error.json_path.removeprefix("$.").removeprefix("$") or "the whole"
        raise ModelError(
            f"bundle: {uri}: {_short(found)}: {_short(_first_line(error))}; it was not written by raycalib, or was "
            "changed: do not use it, or make it again"
        )
    if values["default"] not in values["methods"]:
        raise ModelError(
            f"bundle: {uri}: default: {values['default']!r} is not among its methods ({', '.join(values['methods'])})"
        )


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(
        json.loads(resources.files("raycalib.bundles").joinpath("raycalib.schema.json").read_text("utf-8"))
    )


def _record(values: Mapping[str, Any]) -> BundleRecord:
    methods = {
        name: MethodRecord(
            calibration=CalibrationRecord(**method["calibration"]),
            figures=[FiguresRecord(**figures) for figures in method["figures"]],
        )
        for name, method in values["methods"].items()
    }
    no, yes = values["label_tokens"]
    made: dict[str, Any] = {
        "base": BaseRecord(**values["base"]),
        "label_tokens": (no, yes),
        "methods": methods,
        "trained_on": TrainedOn(**values["trained_on"]),
        "certificates": [Certificate(**each) for each in values["certificates"]],
    }
    rest = {each.name: values[each.name] for each in fields(BundleRecord) if each.name not in made}
    return BundleRecord(**made, **rest)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "message", "")) or str(error) or type(error).__name__).strip().split("\n")[0]


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
