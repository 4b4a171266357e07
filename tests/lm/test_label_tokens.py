from collections.abc import Callable, Sequence

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.label_tokens import common_prefix_length, continuation_token, letter_tokens, query_label_tokens
from raycalib.prompts import query_text

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
PROMPT = query_text("Question: What is the capital of France?\nAnswer:", "Paris")
CHARACTERS = sorted(set(PROMPT + query_text("Question: 2 + 2?\nAnswer:", "4") + "abcdefghij"))


def character_bpe(merges: list[tuple[str, str]], characters: Sequence[str] = CHARACTERS) -> PreTrainedTokenizerFast:
    """Every character is a token, and so is each of these merges; others are dropped; no BOS."""
    vocab = {token: index for index, token in enumerate([*characters, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


def byte_level() -> PreTrainedTokenizerFast:
    """BPE over bytes as in GPT-2: a space belongs to the word after it; no BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [f"{PROMPT} {label}" for label in ("i", "ii")] + [f"Answer: {letter}" for letter in "abcdefghij"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts * 2, trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


def test_common_prefix_length() -> None:
    assert common_prefix_length([], [1]) == 0
    assert common_prefix_length([1, 2, 3], [1, 2]) == 2
    assert common_prefix_length([1, 2, 3], [1, 9, 3]) == 1
    assert common_prefix_length((1, 2), [1, 2]) == 2


def test_with_a_bos_and_a_metaspace(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    assert tokenizer.convert_ids_to_tokens(list(query_label_tokens(tokenizer))) == ["▁i", "▁ii"]
    assert tokenizer.convert_ids_to_tokens(letter_tokens(tokenizer, "abcdefghij")) == [f"▁{x}" for x in "abcdefghij"]


def test_byte_level_without_a_bos() -> None:
    tokenizer = byte_level()
    assert tokenizer.convert_ids_to_tokens(list(query_label_tokens(tokenizer))) == ["Ġi", "Ġii"]
    assert tokenizer.convert_ids_to_tokens(letter_tokens(tokenizer, "abcd")) == ["Ġa", "Ġb", "Ġc", "Ġd"]


def test_the_token_is_what_a_model_would_emit_next(tiny_llama: TinyLlama) -> None:
    for tokenizer in (tiny_llama[1], byte_level()):
        before = tokenizer(PROMPT)["input_ids"]
        for label, token in zip(("i", "ii"), query_label_tokens(tokenizer), strict=True):
            assert tokenizer(f"{PROMPT} {label}")["input_ids"] == [*before, token]


def test_a_label_of_several_tokens_is_known_by_its_first() -> None:
    tokenizer = character_bpe([(" ", "i")])
    assert tokenizer.convert_ids_to_tokens([continuation_token(tokenizer, "Answer:", "is")]) == [" i"]


@pytest.mark.parametrize("merges", [[], [(" ", "i")]])
def test_labels_with_the_same_first_token_are_refused(merges: list[tuple[str, str]]) -> None:
    with pytest.raises(ModelError, match="'i' and 'ii' start with the same token"):
        query_label_tokens(character_bpe(merges))


@pytest.mark.parametrize(
    "find", [query_label_tokens, lambda tokenizer: letter_tokens(tokenizer, "ab")], ids=["labels", "letters"]
)
def test_a_label_merged_into_the_prompt_is_refused(find: Callable[[PreTrainedTokenizerFast], object]) -> None:
    with pytest.raises(ModelError, match=r"merges the label '[ia]' into the prompt"):
        find(character_bpe([(":", " ")]))


def test_a_label_that_adds_no_token_is_refused() -> None:
    with pytest.raises(ModelError, match="merges the label 'é'"):
        continuation_token(character_bpe([], characters="ab:"), "ab:", "é")


def test_labels_are_told_apart_where_both_are_tokens() -> None:
    no, yes = query_label_tokens(character_bpe([(" ", "i"), (" i", "i")]))
    assert no != yes
