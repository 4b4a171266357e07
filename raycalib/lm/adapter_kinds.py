"""Which adapters change a model as LoRA does, so that they load beside others and the base stays what it was."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from peft import LoraConfig

from raycalib.errors import ModelError

LORA_TYPES = ("LORA", "CALIBRATED_LORA")
PAPER_FIELDS = ("query_format", "use_temperature")
MOST_RANK = 4096
PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of ``init_lora_weights`` that draw an adapter alone; others take what they start from out of the base."""

OTHER_KINDS = {
    "modules_to_save": "replaces whole modules",
    "trainable_token_indices": "replaces rows of the embedding",
    "layer_replication": "repeats layers of the model",
    "target_parameters": "adapts parameters that are no linear layer's",
    "alora_invocation_tokens": "is an activated LoRA, which begins at certain tokens",
    "arrow_config": "chooses among adapters by Arrow",
    "kasa_config": "is KaSA, which changes the base's weights",
    "monteclora_config": "is MonteCLoRA, which draws its weights",
    "velora_config": "is VeLoRA",
    "use_bdlora": "is a block-diagonal LoRA",
    "use_qalora": "is QA-LoRA, for weights of few bits",
}


def check_kind(config: Mapping[str, Any], uri: str) -> None:
    """Checks that an adapter's configuration asks for nothing but LoRA: of any ranks, rsLoRA and DoRA among them.

    Raises:
        ModelError: it does, by the name of what it is.
    """
    other = next((field for field in OTHER_KINDS if config.get(field)), None)
    if other is not None:
        raise _refused(uri, OTHER_KINDS[other], other, config)
    if config.get("bias", "none") != "none":
        raise _refused(uri, "trains the base's own biases", "bias", config)
    if config.get("init_lora_weights") not in PLAIN_STARTS:
        raise _refused(uri, "starts from a part of the base's weights, which it changes", "init_lora_weights", config)
    known = {field.name for field in fields(LoraConfig)} | set(PAPER_FIELDS)
    unknown = next((name for name, value in config.items() if name not in known and value), None)
    if unknown is not None:
        raise ModelError(
            f"adapter: {uri} sets {unknown}: {config[unknown]!r}, which the installed PEFT does not know and would "
            "leave out; install the PEFT that wrote it (peft_version in adapter_config.json)"
        )


def _refused(uri: str, what: str, field: str, config: Mapping[str, Any]) -> ModelError:
    return ModelError(
        f"adapter: {uri} {what} ({field}: {config[field]!r}), raycalib loads LoRA alone; merge the adapter into its "
        "base model (PEFT's merge_and_unload) and give that as the model"
    )


def check_ranks(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], uri: str) -> None:
    """Checks that a configuration asks for no larger matrices than the file holds, before PEFT makes room for them.

    Args:
        config: of the adapter.
        shapes: of its tensors, by name.
        uri: where it lies, for messages.

    Raises:
        ModelError: a rank is no number, is not that of the tensors, or is beyond what any layer can use.
    """
    ranks = [config.get("r"), *_values(config.get("rank_pattern"))]
    if not all(isinstance(rank, int) and not isinstance(rank, bool) and rank > 0 for rank in ranks):
        raise ModelError(f"adapter: {uri} has a rank that is no number above 0 (r, rank_pattern): {ranks[:3]}")
    if max(ranks) > MOST_RANK:
        raise ModelError(f"adapter: {uri} has rank {max(ranks)}, and no layer has use for more than {MOST_RANK}")
    held = {shape[0] for name, shape in shapes.items() if ".lora_A." in name and len(shape) == 2}
    if held and max(ranks) > max(held):
        raise ModelError(
            f"adapter: {uri} asks for rank {max(ranks)} in adapter_config.json, and its matrices have {max(held)}; the "
            "two files do not belong together"
        )


def _values(pattern: Any) -> list[Any]:
    return list(pattern.values()) if isinstance(pattern, Mapping) else []
