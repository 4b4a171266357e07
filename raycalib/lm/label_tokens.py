"""Which token a model would emit for a label, found by asking its tokenizer for the continuation of a real prompt."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from raycalib.errors import ModelError
from raycalib.prompts import NO_LABEL, YES_LABEL, query_text


def common_prefix_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading ids two sequences share.

    >>> common_prefix_length([1, 5, 7], [1, 5, 9, 7])
    2
    """
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


def continuation_token(tokenizer: PreTrainedTokenizerBase, prompt: str, label: str) -> int:
    """The first token in which ``prompt + " " + label`` differs from ``prompt``.

    Right with and without a BOS and for byte-level and sentencepiece vocabularies, since both texts are tokenized
    whole.

    Raises:
        ModelError: the label adds no token of its own.
    """
    before = tokenizer(prompt)["input_ids"]
    after = tokenizer(f"{prompt} {label}")["input_ids"]
    shared = common_prefix_length(before, after)
    if shared < len(before) or shared == len(after):
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} merges the label {label!r} into the prompt "
            f"{prompt[-20:]!r}; raycalib needs labels that start a token of their own"
        )
    return int(after[shared])


def query_label_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The tokens of ``i`` (no) and ``ii`` (yes) after the uncertainty query.

    Raises:
        ModelError: the two labels start with the same token.
    """
    prompt = query_text("Question: 2 + 2?\nAnswer:", "4")
    no, yes = (continuation_token(tokenizer, prompt, label) for label in (NO_LABEL, YES_LABEL))
    if no == yes:
        raise ModelError(f"the labels {NO_LABEL!r} and {YES_LABEL!r} start with the same token {no}")
    return no, yes


def letter_tokens(tokenizer: PreTrainedTokenizerBase, letters: Sequence[str]) -> list[int]:
    """The tokens of option letters after ``Answer:``.

    Raises:
        ModelError: two letters start with the same token.
    """
    tokens = [continuation_token(tokenizer, "Question:\n2 + 2?\nAnswer:", letter) for letter in letters]
    if len(set(tokens)) < len(tokens):
        raise ModelError(f"the option letters {', '.join(letters)} do not all start with tokens of their own: {tokens}")
    return tokens
