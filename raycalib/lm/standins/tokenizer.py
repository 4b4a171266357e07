"""The stand-ins' tokenizer: sentencepiece-like BPE with byte fallback and a BOS, trained on their corpus."""

import json

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from raycalib.lm.standins.corpus import Corpus
from raycalib.lm.standins.shapes import BOS_ID, MAX_POSITIONS, VOCAB_SIZE

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
TRAINING_DOCUMENTS = 60_000


def train_tokenizer(corpus: Corpus, seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose merges follow the corpus: what is often stated becomes one token.

    Saved as ``PreTrainedTokenizerFast``, since transformers 5 replaces the pre-tokenizer of a ``LlamaTokenizer``.
    """
    rng = np.random.default_rng(seed)
    texts = (document.text for document in corpus.documents(TRAINING_DOCUMENTS, rng))
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="isolated"),
            pre_tokenizers.Split("?", behavior="isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="first"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE, special_tokens=[*SPECIAL, *BYTE_TOKENS], show_progress=False, min_frequency=2
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS_ID)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=_with_ordinary_bytes(tokenizer),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_POSITIONS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _with_ordinary_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer reserves the byte tokens as special ones; decoding would drop those, so they become ordinary."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in SPECIAL]
    return Tokenizer.from_str(json.dumps(content))
