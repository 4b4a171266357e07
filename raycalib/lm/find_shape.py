"""The shape of a model by its source: no weights are read, and for the paper's six names no network is needed."""

from importlib import resources
import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from raycalib.errors import ModelError
from raycalib.lm.model_shape import ModelShape, model_shape
from raycalib.lm.names import ModelSource


def find_shape(source: ModelSource) -> ModelShape:
    """The shape of a model: from its directory, from what comes with raycalib, or from the hub or its cache.

    Raises:
        ModelError: the configuration cannot be had or read, or the model is not built as Llama.
    """
    if source.is_local:
        return model_shape(_local_config(source), source.name)
    published = _published_configs().get(source.path)
    return model_shape(published or _hub_config(source), source.name)


def _local_config(source: ModelSource) -> dict[str, Any]:
    path = Path(source.path) / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"plan: {path} of {source.name!r} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"plan: {path} of {source.name!r} is not a configuration; it holds no JSON object")
    return config


def _published_configs() -> dict[str, dict[str, Any]]:
    text = resources.files("raycalib.lm").joinpath("published_configs.json").read_text("utf-8")
    configs: dict[str, dict[str, Any]] = json.loads(text)["configs"]
    return configs


def _hub_config(source: ModelSource) -> dict[str, Any]:
    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(source.path, trust_remote_code=False).to_dict()
    except (OSError, ValueError) as error:
        cause = str(error).strip().split("\n")[0]
        raise ModelError(
            f"plan: the configuration of {source.name!r} is neither on the hub nor in the cache: {cause} "
            "Log in with `hf auth login` where its licence asks for that, or name a directory with its config.json"
        ) from error
    return config
