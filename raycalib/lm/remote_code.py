"""Code that a model's files name is never run: a model that asks for it is refused before anything is loaded."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from raycalib.errors import ModelError
from raycalib.lm.model_files import read_settings
from raycalib.lm.names import ModelSource

SETTINGS_FILES = ("config.json", "tokenizer_config.json", "generation_config.json")
IMPLEMENTATIONS = ("_implementation", "_implementation_internal")
SWITCHES = ("use_kernels", "allow_all_kernels")


def refuse_code(source: ModelSource) -> None:
    """Checks that no file of the model names code of its own or a kernel to be fetched.

    transformers follows ``auto_map`` where it is allowed to or a terminal answers "yes", and an attention
    implementation of the form ``org/name`` without a question.

    Raises:
        ModelError: one does, with file, key and remedy.
    """
    for name in SETTINGS_FILES:
        settings = read_settings(source, name)
        for key, value in _named_code(settings):
            raise ModelError(
                f"model: {name} of {source.described} names code to be run ({key}: {_shown(value)}), raycalib "
                f"runs none; {_remedy(name, key, settings)}"
            )
    if not source.is_local:
        return
    if read_settings(source, "adapter_config.json"):
        raise ModelError(
            f"model: {source.described} holds an adapter beside the model (adapter_config.json), which transformers "
            "would load on top without a word; move it elsewhere, or merge it into the weights (PEFT's "
            "merge_and_unload) and give those"
        )


def _named_code(settings: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Keys, with those that they lie in, and values that name code, at any depth."""
    if isinstance(settings, list):
        for value in settings:
            yield from _named_code(value, before)
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        if value and _names_code(str(key), value):
            yield before + str(key), value
        else:
            yield from _named_code(value, f"{before}{key}.")


def _names_code(key: str, value: Any) -> bool:
    if key in ("auto_map", "custom_generate"):
        return True
    if key.endswith(IMPLEMENTATIONS):
        return any("/" in text or _is_missing_flash(text) for text in _texts(value))
    if "kernel" in key:
        return (key in SWITCHES and value is True) or any("/" in text for text in _texts(value))
    return False


def _is_missing_flash(name: str) -> bool:
    """Whether transformers would fetch a kernel from the hub in place of a package that is not installed."""
    packages = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
    name = name.removeprefix("paged|")
    return name.startswith("flash_attention") and find_spec(packages.get(name, name)) is None


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, at any depth; names of keys among them, since kernels are mapped by name."""
    if isinstance(value, str):
        yield value
    for part in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from _texts(part)


def _remedy(name: str, key: str, settings: dict[str, Any]) -> str:
    if not key.endswith("auto_map"):
        return f"leave {key} out of a copy of the model"
    if name != "config.json":
        return "where tokenizer.json alone reads texts rightly, leave auto_map out of a copy of the model"
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    family = settings.get("model_type")
    if family in CONFIG_MAPPING:
        return (
            f"transformers has the architecture {family!r} of its own: leave auto_map out of a copy of the model to "
            "use that"
        )
    return "choose a model of an architecture that transformers has of its own"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else ", ".join(dict.fromkeys(_texts(value))) or str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
