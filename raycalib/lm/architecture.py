"""Whether a model is built so that its query can be scored and its layers tuned, and what it lacks where not."""

from collections.abc import Collection

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raycalib.errors import ModelError
from raycalib.lm.logits import decoder_of
from raycalib.lm.names import ModelSource


def check_scored(model: PreTrainedModel, source: ModelSource) -> None:
    """Checks that the model has what the query's logits and the features are read from.

    Raises:
        ModelError: it lacks a part, with its name.
    """
    lacking = []
    if decoder_of(model) is model:
        others = ", ".join(name for name, _ in model.named_children())
        lacking.append(f"no decoder apart from its head that gives final hidden states (it has {others})")
    if not isinstance(getattr(model.get_output_embeddings(), "in_features", None), int):
        lacking.append("no linear language-model head")
    if lacking:
        raise ModelError(
            f"model: {source.described} is a {type(model).__name__}, whose query cannot be scored: it has "
            f"{' and '.join(lacking)}; choose a causal language model, such as Llama, Mistral, Qwen or Gemma"
        )


def check_targets(model: PreTrainedModel, targets: Collection[str]) -> None:
    """Checks that the model has linear layers of all these names; PEFT is content with one.

    Raises:
        ModelError: some are not there, or one is the head, whose logits are computed from its own weights alone.
    """
    linears = {name.rsplit(".", 1)[-1]: module for name, module in model.named_modules() if _is_linear(module)}
    head = model.get_output_embeddings()
    inner = [name for name, module in linears.items() if module is not head]
    missing = [target for target in targets if target not in inner]
    if missing:
        raise ModelError(
            f"lora.targets: {', '.join(missing)} are not all in the model, a {type(model).__name__}; its linear layers "
            f"are {', '.join(inner) or 'none'}; name some of these with --tuning.lora.targets, or leave the methods "
            "that tune out of --methods"
        )


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)
