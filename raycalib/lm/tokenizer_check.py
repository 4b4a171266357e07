"""Whether a tokenizer is that of its model, and leaves texts open at their end."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource
from raycalib.prompts import query_text

ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")


def check_open_end(tokenizer: PreTrainedTokenizerBase, source: ModelSource) -> None:
    """Checks that nothing stands behind a text's own tokens: a model would read its text as ended, and go on anew.

    Raises:
        ModelError: a token is appended, or no text is read at all.
    """
    text = query_text("Question: 2 + 2?\nAnswer:", "4")
    ids, own = tokenizer(text)["input_ids"], tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(own) < 2 or set(own) <= {tokenizer.unk_token_id}:
        raise ModelError(
            f"model: the tokenizer of {source.described} knows no word of English: its files are missing "
            "or those of another model; put tokenizer.json and tokenizer_config.json of the model there"
        )
    n_after = next((n for n in range(len(ids)) if ids[len(ids) - n - len(own) : len(ids) - n] == own), 0)
    if n_after:
        added = ", ".join(repr(tokenizer.convert_ids_to_tokens(token)) for token in ids[-n_after:])
        raise ModelError(
            f"model: the tokenizer of {source.described} appends {added} to every text, so that the model "
            "reads a question as ended before its answer; set add_eos_token to false in tokenizer_config.json, or "
            "take the token out of the post_processor in tokenizer.json"
        )


def check_rows(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, source: ModelSource) -> None:
    """Checks that all tokens that texts are read into have a row in the embedding.

    Control tokens without a role, such as Gemma 3's for images beside a model of text alone, are in no text.

    Args:
        tokenizer: of the model.
        model: with its embedding, loaded or empty.
        source: of both.

    Raises:
        ModelError: some have none, with their names.
    """
    n_rows: int = model.get_input_embeddings().weight.shape[0]
    above = {name: token for name, token in tokenizer.get_vocab().items() if token >= n_rows}
    roles = {getattr(tokenizer, role, None) for role in ROLES}
    control = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special} - roles
    read = sorted((name for name in above if name not in control), key=above.__getitem__)
    if read:
        shown = ", ".join(repr(name) for name in read[:3]) + (f" and {len(read) - 3} more" if len(read) > 3 else "")
        raise ModelError(
            f"model: the tokenizer of {source.described} has tokens up to {max(above.values())}, the embedding "
            f"{n_rows:,} rows: {shown} have none; put the model's own tokenizer files there, or add rows once by "
            "resize_token_embeddings, tune them and save both"
        )
