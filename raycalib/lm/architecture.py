"""Whether a model is built so that its query can be scored and its layers tuned, and what it lacks where not."""

from collections.abc import Collection

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource


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
    """Checks that the model has linear layers under all these names or ends of names; PEFT is content with one.

    Raises:
        ModelError: some are not there.
    """
    linears = [f".{name}" for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    missing = [target for target in targets if not any(name.endswith(f".{target}") for name in linears)]
    if missing:
        own = ", ".join(dict.fromkeys(name.rsplit(".", 1)[-1] for name in linears))
        raise ModelError(
            f"lora.targets: {', '.join(missing)} are not all in the model, a {type(model).__name__}; its linear layers "
            f"are {own or 'none'}; name some of these with --tuning.lora.targets, or leave the methods that tune out "
            "of --methods"
        )
