"""Tokenizers of another model, or that end texts, are refused; those that only look odd are not."""

import copy
import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, processors
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.loading import load_tokenizer
from raycalib.lm.model_check import check_model
from raycalib.lm.names import ModelSource, find_model
from raycalib.lm.tokenizer_check import check_open_end, check_rows

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
SOURCE = ModelSource(name="tiny", path="tiny", is_local=True)


def with_ending(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return other


@pytest.mark.parametrize("template", ["<s> $A", "$A", "<s> <s> $A"])
def test_tokens_before_a_text_are_no_fault(tiny_llama: TinyLlama, template: str) -> None:
    check_open_end(with_ending(tiny_llama[1], template), SOURCE)


@pytest.mark.parametrize(("template", "named"), [("<s> $A </s>", "'</s>'"), ("$A </s> </s>", "'</s>', '</s>'")])
def test_tokens_behind_a_text_are_named(tiny_llama: TinyLlama, tiny_model_dir: Path, template: str, named: str) -> None:
    with_ending(tiny_llama[1], template).save_pretrained(tiny_model_dir)
    for do in (load_tokenizer, check_model):
        with pytest.raises(ModelError, match=rf"appends {named} to every text, .* add_eos_token to false"):
            do(find_model(str(tiny_model_dir)))


def test_a_tokenizer_without_words_is_named(tiny_model_dir: Path) -> None:
    file = tiny_model_dir / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"] |= {"vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}, "merges": [], "byte_fallback": False}
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="knows no word of English"):
        load_tokenizer(find_model(str(tiny_model_dir)))


def test_words_without_a_row_are_named(tiny_llama: TinyLlama, tiny_model_dir: Path) -> None:
    tokenizer = copy.deepcopy(tiny_llama[1])
    tokenizer.add_tokens(["<extra>", "Question"])
    tokenizer.save_pretrained(tiny_model_dir)
    n = len(tiny_llama[1])
    with pytest.raises(ModelError, match=rf"tokens up to {n + 1}, the embedding {n} rows: '<extra>', 'Question' have"):
        check_model(find_model(str(tiny_model_dir)))


def test_a_padding_token_without_a_row_is_named(tiny_llama: TinyLlama) -> None:
    """Users add one as the paper's code does, and forget to resize the embedding."""
    tokenizer = copy.deepcopy(tiny_llama[1])
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    with pytest.raises(ModelError, match="'<pad>' have none"):
        check_rows(tokenizer, tiny_llama[0], SOURCE)


def test_control_tokens_without_a_role_need_no_row(tiny_llama: TinyLlama) -> None:
    """Gemma 3 of text alone has one for images behind its embedding."""
    tokenizer = copy.deepcopy(tiny_llama[1])
    tokenizer.add_tokens([AddedToken("<image>", special=True)], special_tokens=True)
    assert len(tokenizer) > len(tiny_llama[1])
    check_rows(tokenizer, tiny_llama[0], SOURCE)


def test_more_rows_than_tokens_are_no_fault(tiny_llama: TinyLlama) -> None:
    model = copy.deepcopy(tiny_llama[0])
    model.resize_token_embeddings(len(tiny_llama[1]) + 64)
    check_rows(tiny_llama[1], model, SOURCE)
