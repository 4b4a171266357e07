"""Which adapters change a model as LoRA does, so that they load beside others and the base stays what it was."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from peft import LoraConfig

from raycalib.errors import ModelError

LORA_TYPES = ("LORA", "CALIBRATED_LORA")
PAPER_FIELDS = ("query_format", "use_temperature")
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
