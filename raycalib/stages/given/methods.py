"""Adapters, probes and temperatures that exist, as methods of their own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
import re
from typing import Any

from raycalib.errors import ConfigError
from raycalib.lm.adapter_names import ADAPTER_FILES
from raycalib.lm.names import HUB_IDS
from raycalib.printable import printable_line
from raycalib.stages.given.files import Kind, read_given_adapter, read_given_probe
from raycalib.stages.given.names import FoundMethod, method_names, split_name
from raycalib.stages.given.places import Field, open_place, run_origin
from raycalib.stages.given.temperatures import read_temperature
from raycalib.storage import Location
from raycalib.tuning.probe_files import PROBE_TENSORS
from raycalib.tuning.temperature import Temperature

HUB_CACHE_FOLDER = re.compile(r"models--.+?--(?P<name>[^/]+)/snapshots/[^/]+/?$")


@dataclass(frozen=True, kw_only=True)
class GivenMethod:
    """An adapter or a probe that exists.

    Attributes:
        name: in predictions and tables.
        kind: ``query`` asks the query with an adapter, ``head`` reads an adapter's hidden states by the classifier that
            was tuned together with it, ``probe`` reads those of the frozen model.
        adapter: directory of the PEFT adapter.
        head: directory of the classifier.
        head_name: the classifier's file.
        temperature: to be shown beside the one that is fitted.
        fingerprint: hash of the files' content; keys hang on it, and not on where they lie.
        origin: for people.
        note: a line to say before it is used; empty where there is none.
    """

    name: str
    kind: Kind
    adapter: Location | None
    head: Location | None
    head_name: str
    temperature: Temperature | None
    fingerprint: str
    origin: str
    note: str = ""


def given_methods(
    adapters: Sequence[str],
    probes: Sequence[str],
    temperatures: Sequence[str],
    *,
    model: str,
    style: str,
    data_root: str | None = None,
    taken: Collection[str] = (),
) -> list[GivenMethod]:
    """What is given, read, checked and named; adapters first, each in the order given.

    Args:
        adapters: ``[NAME=]PLACE``; a directory of an adapter, one of a run, or ``hub:ORG/NAME[@revision][:folder]``.
        probes: ``[NAME=]PLACE``; a directory with a probe or a head of the paper's code, one of a run, or the file.
        temperatures: ``[NAME=]NUMBER`` or ``[NAME=]PLACE``, of the method of this name, or of the only one.
        model: name of the model that is evaluated.
        style: that is evaluated.
        data_root: where copies of the hub's repositories may lie, as ``data_root/ORG/NAME``.
        taken: names of methods that the run has besides.

    Raises:
        ConfigError: a name or a temperature is not allowed, or names are the same.
        ModelError: what lies at a place cannot be used.
        StorageError: a place cannot be read.
    """
    found = [_found("adapter", text, data_root) for text in adapters]
    found += [_found("probe", text, data_root) for text in probes]
    names = method_names(found, model, style, taken)
    methods = [
        GivenMethod(
            name=name,
            kind=one.files.kind,
            adapter=one.files.adapter,
            head=one.files.head,
            head_name=one.files.head_name,
            temperature=None,
            fingerprint=one.files.fingerprint,
            origin=one.origin,
            note=_note(name, one, model),
        )
        for name, one in zip(names, found, strict=True)
    ]
    return _with_temperatures(methods, temperatures)


def method_identity(method: GivenMethod) -> dict[str, Any]:
    """What decides a method's logits on given rows, as plain values for the key of what is scored.

    Neither its name nor where its files lie: renamed or moved, it finds its scores again.
    """
    return {"kind": method.kind, "fingerprint": method.fingerprint}


def _found(field: Field, text: str, data_root: str | None) -> FoundMethod:
    named, place = split_name(field, text)
    given = open_place(field, place, ADAPTER_FILES if field == "adapter" else (PROBE_TENSORS,), data_root)
    run = run_origin(given.place)
    files = read_given_adapter(given, run) if field == "adapter" else read_given_probe(given, run)
    return FoundMethod(named=named, given=given, run=run, files=files)


def _note(name: str, one: FoundMethod, model: str) -> str:
    """That an adapter of unknown origin names another base model than the one that is evaluated."""
    base = one.files.base
    if one.run is not None or not base or _short(base) in {_short(model), _short(HUB_IDS.get(model, model))}:
        return ""
    return printable_line(
        f"{name}: the adapter was made for {base}, as its adapter_config.json says, and is evaluated on {model}"
    )


def _short(model: str) -> str:
    """The last part of a model's name, path or place in the hub's cache, as names are compared."""
    cached = HUB_CACHE_FOLDER.search(model)
    name = cached["name"] if cached else model.rstrip("/").rpartition("/")[2]
    return name.lower().replace(":", "-")


def _with_temperatures(methods: Sequence[GivenMethod], temperatures: Sequence[str]) -> list[GivenMethod]:
    given: dict[str, Temperature] = {}
    for text in temperatures:
        name, place = _method_of(methods, text)
        if name in given:
            raise ConfigError(f"temperature: {name!r} has two temperatures; give one")
        given[name] = read_temperature(place)
    return [replace(method, temperature=given.get(method.name)) for method in methods]


def _method_of(methods: Sequence[GivenMethod], text: str) -> tuple[str, str]:
    """Which method a temperature is of, and the number or place. Names may hold what places hold, so they go first."""
    allowed = ", ".join(repr(method.name) for method in methods) or "none, since no adapter or probe is given"
    for method in methods:
        if text.startswith(f"{method.name}="):
            return method.name, text[len(method.name) + 1 :]
    named, place = split_name("temperature", text)
    if named:
        raise ConfigError(f"temperature: {named!r} is no adapter or probe that is given; allowed: {allowed}")
    if len(methods) != 1:
        raise ConfigError(
            f"temperature: {text} does not say of which method it is; give NAME={text}, NAME of {allowed}"
        )
    return methods[0].name, place
