"""Texts that are longer than a model can read: their left is cut off, what the answer hangs on never is."""

from typing import NamedTuple

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.label_tokens import common_prefix_length

WINDOW_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Of a configuration, the first that it has."""


class TooLongError(ValueError):
    """What must not be cut of a text is longer than may be read."""


class FittedText(NamedTuple):
    """Token ids that fit.

    Attributes:
        ids: with the BOS, where the tokenizer gives one.
        n_cut: tokens left out behind the BOS.
    """

    ids: list[int]
    n_cut: int


def context_window(model: PreTrainedModel, at_most: int | None = None) -> int | None:
    """Tokens that a model reads at most, as its configuration says; None where neither it nor ``at_most`` does."""
    return window_of(model.config, at_most)


def window_of(config: PreTrainedConfig, at_most: int | None = None) -> int | None:
    """The same from a model's configuration alone."""
    text = config.get_text_config()
    positions = next((limit for name in WINDOW_NAMES if (limit := getattr(text, name, None))), None)
    known = [int(limit) for limit in (positions, at_most) if limit]
    return min(known, default=None)


def fit_left(
    tokenizer: PreTrainedTokenizerBase, text: str, kept: str, most: int | None, add_special_tokens: bool = True
) -> FittedText:
    """The text's ids; where they are more than ``most``, tokens behind the BOS are left out.

    Args:
        tokenizer: of the model.
        text: all of it, ending with ``kept``.
        kept: its end, which is never cut: the target prompt, and the answer and query behind it.
        most: tokens that fit, the BOS among them; None is any number.
        add_special_tokens: whether the tokenizer adds its BOS; the text of a chat template has it already.

    Raises:
        TooLongError: the text is too long, and does not end with ``kept`` or ``kept`` alone does not fit.
    """
    ids = list(tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"])
    if most is None or len(ids) <= most:
        return FittedText(ids, 0)
    if not text.endswith(kept):
        raise TooLongError(f"too long, and ends with {text[-40:]!r} in place of {kept[-40:]!r}")
    bos = _n_bos(tokenizer, ids)
    start = tokenizer(text[: len(text) - len(kept)], add_special_tokens=add_special_tokens)
    before = common_prefix_length(ids, start["input_ids"])
    n_cut = len(ids) - most
    if n_cut > before - bos:
        needed = len(ids) - before + bos
        raise TooLongError(f"too long: what follows the question takes {needed} tokens alone, and {most} fit")
    return FittedText(without_left(tokenizer, ids, n_cut), n_cut)


def without_left(tokenizer: PreTrainedTokenizerBase, ids: list[int], n: int) -> list[int]:
    """The ids without the first ``n`` behind the BOS."""
    bos = _n_bos(tokenizer, ids)
    return ids[:bos] + ids[bos + n :]


def _n_bos(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> int:
    return 1 if tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id] else 0
