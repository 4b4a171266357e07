"""Makes a bundle of an adapter that the paper's code saved, with the temperature and classifier beside it."""

from dataclasses import dataclass
import hashlib
import math
from tempfile import TemporaryDirectory

import numpy as np

from raycalib.bundles.base import base_record
from raycalib.bundles.paper_files import CLASSIFIERS, TEMPERATURES, find_file, read_classifier, read_log_temperature
from raycalib.bundles.record import RECORD, BundleRecord, CalibrationRecord, MethodRecord, TrainedOn
from raycalib.bundles.save import MethodFiles, save_bundle
from raycalib.errors import ConfigError, ModelError
from raycalib.evaluation.methods import LORA, LORA_PROMPT
from raycalib.hashing import stable_hash
from raycalib.lm.adapter_files import SavedLora, read_adapter, read_lora
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_as_stored, load_tokenizer
from raycalib.lm.names import ModelSource
from raycalib.prompts import QUERY_VERSION
from raycalib.storage import Location, git_commit, versions
from raycalib.tuning.probe_files import PROBE_TENSORS, load_probe
from raycalib.tuning.temperature import LOG_TEMPERATURE_LIMIT, Temperature
from raycalib.tuning.tensor_files import write_tensors

NO_TEMPERATURE = "there is no temperature among the files that were converted"
MAX_NEW_TOKENS = {"oe": 100, "choice": 1}
"""Of the paper's answers."""
MAX_TOKENS = 2048


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What is converted.

    Attributes:
        adapter: directory of the adapter; temperature and classifier may lie beside it.
        base: the model that it is for.
        style: of its questions.
        temperature: directory and file of one that lies elsewhere.
        source: what it was trained on, for the record.
    """

    adapter: Location
    base: ModelSource
    style: str
    temperature: tuple[Location, str] | None = None
    source: str = "not recorded"


def convert(wanted: Conversion, out: Location) -> Location:
    """Writes a bundle: LoRA's tensors alone, once copies of the base's own were compared with them, and safetensors.

    Args:
        wanted: what is converted.
        out: of the bundle; nothing else may lie there.

    Raises:
        ConfigError: something else lies there.
        ModelError: a file is not what it should be, or the adapter is for another base.
        StorageError: a file cannot be read or written.
    """
    if out.names() and not out.exists(RECORD):
        raise ConfigError(f"out: {out.uri} holds other files; name an empty or new directory")
    content = read_adapter(wanted.adapter)
    saved = read_lora(wanted.adapter, load_as_stored(wanted.base))
    temperature = _temperature(wanted)
    classifier = find_file(wanted.adapter, CLASSIFIERS)
    method = LORA if classifier else LORA_PROMPT
    key = stable_hash(
        "converted", *(hashlib.sha256(part).hexdigest() for part in content), wanted.style,
        wanted.base.fingerprint(), None if temperature is None else temperature.log_temperature, classifier,
    )  # fmt: skip
    none = np.zeros(0)
    with TemporaryDirectory() as folder:
        files = MethodFiles(
            adapter=_lora_alone(saved, Location(folder)),
            probe=_classifier(wanted.adapter, classifier, Location(folder)) if classifier else None,
            temperature=temperature,
            log_odds=none,
            labels=none.astype(np.int64),
        )
        save_bundle(out, _record(wanted, method, temperature, key), {method: files})
    return out


def _lora_alone(saved: SavedLora, place: Location) -> Location:
    place.write_json(ADAPTER_CONFIG, saved.config)
    write_tensors(place, ADAPTER_WEIGHTS, saved.tensors)
    return place


def _classifier(source: Location, name: str, place: Location) -> tuple[Location, str]:
    """As a probe that takes features as they are, checked."""
    write_tensors(place, PROBE_TENSORS, read_classifier(source, name))
    load_probe(place)
    return place, PROBE_TENSORS


def _temperature(wanted: Conversion) -> Temperature | None:
    place, name = wanted.temperature or (wanted.adapter, find_file(wanted.adapter, TEMPERATURES))
    if not name:
        return None
    value = read_log_temperature(place, name)
    if abs(value) > LOG_TEMPERATURE_LIMIT:
        raise ModelError(
            f"temperature: {(place / name).uri} holds T = e^{value:.1f}, allowed are e^-{LOG_TEMPERATURE_LIMIT:g} to "
            f"e^{LOG_TEMPERATURE_LIMIT:g}"
        )
    return Temperature(log_temperature=value, n=0, nll_before=math.nan, nll_after=math.nan)


def _record(wanted: Conversion, method: str, temperature: Temperature | None, key: str) -> BundleRecord:
    kind, reason = ("none", NO_TEMPERATURE) if temperature is None else ("temperature", "")
    calibration = CalibrationRecord(kind=kind, reason=reason, n=0, nll_before=None, nll_after=None)  # type: ignore[arg-type]
    return BundleRecord(
        key=key,
        base=base_record(wanted.base),
        style=wanted.style,
        query_version=QUERY_VERSION,
        label_tokens=query_label_tokens(load_tokenizer(wanted.base)),
        dtype="bfloat16",
        max_new_tokens=MAX_NEW_TOKENS[wanted.style],
        max_tokens=MAX_TOKENS,
        default=method,
        methods={method: MethodRecord(calibration=calibration)},
        trained_on=TrainedOn(source=wanted.source, grader="not recorded", k_shot=False, rows={}),
        versions=versions(),
        git_commit=git_commit(),
    )
