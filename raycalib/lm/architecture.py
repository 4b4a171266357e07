"""Whether a model is built so that its query can be scored and its layers tuned, and what it lacks where not."""

from collections.abc import Collection

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource
from raycalib.lm.packed import PACKED_ATTENTION, use_packed_attention

CARRYING_LAYERS = ("conv", "linear_attention", "mamba", "recurrent", "hybrid")
"""Values of ``layer_types`` whose layers carry what they read of one token to the next, beside attention."""


def check_scored(model: PreTrainedModel, source: ModelSource) -> None:
    """Checks that the model has what the query's logits and the features are read from.

    Raises:
        ModelError: it does not tell a part that gives final hidden states from its head.
    """
    if model.base_model is model or model.get_output_embeddings() is None:
        parts = ", ".join(name for name, _ in model.named_children())
        raise ModelError(
            f"model: {source.described} is a {type(model).__name__}, whose query cannot be scored: it does not tell "
            f"its decoder from its language-model head (its parts are {parts}); choose a causal language model "
            "built as Llama, Mistral or Qwen"
        )


def check_targets(model: PreTrainedModel, targets: Collection[str]) -> None:
    """Checks that what reads text has linear layers under all these names or ends of names; PEFT is content with one.

    Raises:
        ModelError: some are not there.
    """
    others = set(beside_text(model))
    linears = [
        f".{name}"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and name not in others
    ]
    missing = [target for target in targets if not any(name.endswith(f".{target}") for name in linears)]
    if missing:
        own = ", ".join(dict.fromkeys(name.rsplit(".", 1)[-1] for name in linears))
        raise ModelError(
            f"lora.targets: {', '.join(missing)} are not all in the model, a {type(model).__name__}; its linear layers "
            f"are {own or 'none'}; name some of these with --tuning.lora.targets, or leave the methods that tune out "
            "of --methods"
        )


def beside_text(model: PreTrainedModel) -> list[str]:
    """Names of the modules that text does not pass: of towers for images or sound; empty where there are none.

    Layers there often bear the names that the decoder's do, and no gradient reaches them.
    """
    if model.config.get_text_config() is model.config:
        return []
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    of_text = {id(module) for part in (decoder, head) if part is not None for module in part.modules()}
    return [name for name, module in model.named_modules() if id(module) not in of_text and name]


def check_layers(model: PreTrainedModel, source: ModelSource) -> None:
    """Checks, of the configuration and the class alone, that packed texts can be told apart in every layer.

    What they do not show is found when the model is first tuned, by comparing its states. The attention is replaced.

    Raises:
        ModelError: some layers are recurrent or convolve along the text, or the attention cannot be replaced.
    """
    kinds = dict.fromkeys(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if carrying := [kind for kind in kinds if kind in CARRYING_LAYERS]:
        raise _not_tunable(model, source, f"it has layers of the kind {', '.join(carrying)}")
    if not kinds and getattr(model, "_is_stateful", False):
        raise _not_tunable(model, source, "its layers hand a state on")
    if any(name.endswith(".sinks") for name, _ in model.named_parameters()):
        raise _not_tunable(model, source, "its attention has sinks")
    use_packed_attention(model)
    if model.config.get_text_config()._attn_implementation != PACKED_ATTENTION:  # transformers only logs that
        raise _not_tunable(model, source, "its attention cannot be replaced")


def _not_tunable(model: PreTrainedModel, source: ModelSource, cause: str) -> ModelError:
    return ModelError(
        f"model: {source.described} is a {type(model).__name__} and cannot be tuned: {cause}, so that packed texts "
        "would be read into one another; choose another (Llama, Mistral, Qwen 3, Gemma, Granite …), or leave the "
        "methods that tune out of --methods"
    )
