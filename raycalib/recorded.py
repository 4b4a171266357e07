"""The configuration that a run in a directory was made with, as the beginning of an evaluation job's."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.storage import Location

Config = TypeVar("Config")
RUN_RECORD = "config.json"
OF_THE_RUN_ALONE = (
    "skip",
    "evaluation_sets",
    "labelled",
    "answers",
    "adapters",
    "probes",
    "temperatures",
    "estimate",
    "plan",
    "at_once",
    "export",
)
"""What a run was asked for beside how it computes; a job says these for itself."""


def recorded_config(out: Location) -> PipelineConfig | None:
    """How the run in a directory computes; None where there is no run.

    Raises:
        ConfigError: its record is of another version, or damaged.
    """
    if not out.exists(RUN_RECORD):
        return None
    record = out.read_json(RUN_RECORD)
    try:
        config = _made(PipelineConfig, record)
    except (ConfigError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"out: {out.uri}/{RUN_RECORD} cannot be used as the settings of the run there ({error}); name settings of "
            "your own by --recipe"
        ) from error
    plain = PipelineConfig()
    ray = replace(config.ray, address=None, temp_dir=None)
    return replace(config, ray=ray, **{name: getattr(plain, name) for name in OF_THE_RUN_ALONE})


def _made(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration from plain values; what it does not know is left out, as versions differ."""
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: _value(hints[name], value) for name, value in values.items() if name in known})


def _value(hint: Any, value: Any) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return _made(hint, value)
    if isinstance(value, list) and (
        get_origin(hint) is tuple or any(get_origin(arg) is tuple for arg in get_args(hint))
    ):
        return tuple(value)
    return value
