"""Greedy generation against a plain ``model.generate`` loop over batches of 16 in file order, both in one run.

python bench/generate.py                    # small random Llama, prompts of 60-300 tokens, 30 new tokens; CPU
python bench/generate.py --model demo       # embedded stand-in on its questions, stopping where the answer ends
python bench/generate.py --model 7b         # 7B-shaped random Llama in bfloat16; skipped where there is no GPU

The plain loop always generates all new tokens; both sides begin and end with text, and ours also gives likelihoods
and margins. Outputs are compared. With a GPU the figures include the share of the device's own matrix rate reached
while reading texts and of its memory rate while decoding, both ceilings measured in the same run. Ends with one line
of JSON.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
import json
import os
import random
from statistics import median
import time

from tokenizers import Tokenizer, models, pre_tokenizers
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from raycalib.lm.generation import Generation, GenerationRequest, GreedyGenerator
from raycalib.lm.loading import load_causal_lm, load_tokenizer, pad_token_id
from raycalib.lm.names import EMBEDDED_ROOT, find_model
from raycalib.prompts import Example, sanitize
from raycalib.sources import DrawTally, RefusedRow, SourceSettings, draw_questions

PLAIN_BATCH = 16
CLOSE = {torch.float32: 1e-4, torch.bfloat16: 0.25}
"""Distance of the two best logits below which rounding may change the choice: two steps of bfloat16 at logits of 16."""

LANGUAGE = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def word_tokenizer(n_words: int) -> PreTrainedTokenizerFast:
    """One token per word and no end of text, so that nothing stops early."""
    words = ["<unk>", *"abcdefghij", *(f"w{number}" for number in range(n_words - 11))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", padding_side="left")


def random_llama(config: LlamaConfig, dtype: torch.dtype, device: str) -> LANGUAGE:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = None
    return model, word_tokenizer(config.vocab_size)


def small() -> LANGUAGE:
    config = LlamaConfig(
        vocab_size=2000,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=688,
        max_position_embeddings=512,
        initializer_range=0.1,
        eos_token_id=None,
        bos_token_id=None,
    )
    return random_llama(config, torch.float32, "cpu")


def seven_billion() -> LANGUAGE:
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=4096,
        num_hidden_layers=32,
        num_attention_heads=32,
        intermediate_size=11008,
        max_position_embeddings=4096,
        eos_token_id=None,
        bos_token_id=None,
    )
    return random_llama(config, torch.bfloat16, "cuda")


def demo() -> LANGUAGE:
    source = find_model("llama2:7b", EMBEDDED_ROOT)
    return load_causal_lm(source, "float32", use_gpu=False), load_tokenizer(source)


def random_texts(n_rows: int, n_words: int) -> list[str]:
    draw = random.Random(7)
    return [" ".join(f"w{draw.randrange(n_words - 11)}" for _ in range(draw.randint(60, 300))) for _ in range(n_rows)]


def question_texts(n_rows: int) -> list[str]:
    """Questions in the order of the source, as a user's file has them."""
    names = ("prompt", "context", "target_prompt", "target")
    drawn = draw_questions(SourceSettings(), ("oe",), 137, DrawTally())
    rows = islice((row for row in drawn if not isinstance(row, RefusedRow)), n_rows)
    return [Example(**{name: row[name] for name in names}).text() for row in rows]


@torch.inference_mode()
def plain_loop(language: LANGUAGE, texts: Sequence[str], max_new_tokens: int) -> list[str]:
    """What one would write first."""
    model, tokenizer = language
    tokenizer.padding_side = "left"
    pad = pad_token_id(tokenizer)
    tokenizer.pad_token_id = pad
    outputs: list[str] = []
    for start in range(0, len(texts), PLAIN_BATCH):
        batch = tokenizer(list(texts[start : start + PLAIN_BATCH]), return_tensors="pt", padding=True)
        batch = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
        ids = model.generate(
            **batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=pad,
        )
        outputs += tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return outputs


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(ours: Sequence[Generation], plain: Sequence[str], close: float) -> dict[str, int]:
    """How many first lines differ, and how many of these are not within rounding of a tie."""
    different = [mine for mine, other in zip(ours, plain, strict=True) if sanitize(mine.output) != sanitize(other)]
    unexplained = sum(mine.min_margin is None or mine.min_margin >= close for mine in different)
    return {"answers_that_differ": len(different), "of_these_not_close": unexplained}


def ceilings() -> dict[str, float]:
    """The GPU's own rates: of a large bfloat16 product, and of copying memory."""
    side, n_bytes = 8192, 2**32
    left = torch.randn(side, side, dtype=torch.bfloat16, device="cuda")
    flat = torch.empty(n_bytes, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(flat)
    product = [seconds_of(lambda: left @ left) for _ in range(10)]
    copy = [seconds_of(lambda: other.copy_(flat)) for _ in range(10)]
    return {"flops_per_s": 2 * side**3 / min(product), "bytes_per_s": 2 * n_bytes / min(copy)}


def shares_of_ceilings(generator: GreedyGenerator, texts: Sequence[str], whole_s: float) -> dict[str, float]:
    """Reading alone is timed by asking for one token; the rest of the time is decoding.

    Counted are the products with the weights, and the weights and the keys and values of each step; attention's own
    products are left out.
    """
    model = generator.model
    rates = ceilings()
    reading_s = median(
        seconds_of(lambda: generator.generate([GenerationRequest(text, 4) for text in texts])) for _ in range(3)
    )
    body = sum(weights.numel() for weights in model.get_submodule("model.layers").parameters())
    head = model.get_output_embeddings().weight.numel()
    n_tokens = sum(len(generator.tokenizer(text)["input_ids"]) for text in texts)
    config = model.config
    kv_bytes = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    steps = (generator.max_new_tokens - 1) * n_batches(generator, texts)
    read_bytes = steps * 2 * (body + head) + (generator.max_new_tokens - 1) * n_tokens * kv_bytes
    decoding_s = whole_s - reading_s
    return {
        "matrix_tflops": round(rates["flops_per_s"] / 1e12, 1),
        "memory_gb_per_s": round(rates["bytes_per_s"] / 1e9),
        "reading_share_of_matrix_rate": round(
            2 * (body * n_tokens + head * len(texts)) / reading_s / rates["flops_per_s"], 3
        ),
        "decoding_share_of_memory_rate": round(read_bytes / decoding_s / rates["bytes_per_s"], 3),
    }


def n_batches(generator: GreedyGenerator, texts: Sequence[str]) -> int:
    """Batches of the decoder where no answer ends early: filled longest first."""
    lengths = sorted((len(generator.tokenizer(text)["input_ids"]) for text in texts), reverse=True)
    batches = place = 0
    while place < len(lengths):
        place += max(1, generator.budget.tokens // (lengths[place] + generator.max_new_tokens))
        batches += 1
    return batches


def measure(options: argparse.Namespace) -> dict[str, object]:
    if options.model == "demo":
        language, texts = demo(), question_texts(options.rows)
    else:
        language = small() if options.model == "small" else seven_billion()
        texts = random_texts(options.rows, language[0].config.vocab_size)
    generator = GreedyGenerator(*language, options.new_tokens, options.max_batch_tokens)
    requests = [GenerationRequest(text) for text in texts]
    ours, plain = generator.generate(requests[:32]), plain_loop(language, texts[:32], options.new_tokens)  # warm
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(options.repeats):
        before = replace(generator.counts)
        seconds["ours"].append(seconds_of(lambda: ours.__setitem__(slice(None), generator.generate(requests))))
        counts = generator.counts.since(before)
        seconds["plain"].append(
            seconds_of(lambda: plain.__setitem__(slice(None), plain_loop(language, texts, options.new_tokens)))
        )
    ours_s, plain_s = median(seconds["ours"]), median(seconds["plain"])
    figures: dict[str, object] = {
        "bench": "generate",
        "model": options.model,
        "rows": len(texts),
        "new_tokens": options.new_tokens,
        "device": torch.cuda.get_device_name() if options.model == "7b" else f"{torch.get_num_threads()} CPU threads",
        "plain_rows_per_s": round(len(texts) / plain_s, 2),
        "ours_rows_per_s": round(len(texts) / ours_s, 2),
        "ratio": round(plain_s / ours_s, 2),
        "padding_share": round(
            counts.padded_positions / (counts.padded_positions + counts.tokens_read + counts.tokens_generated), 4
        ),
        "tokens_per_s": round((counts.tokens_read + counts.tokens_generated) / ours_s),
        **compare(ours, plain, CLOSE[language[0].dtype]),
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
    }
    if options.model == "7b":
        figures |= shares_of_ceilings(generator, texts, ours_s)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("small", "demo", "7b"), default="small")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=30)
    parser.add_argument("--max-batch-tokens", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if options.model == "7b" and not torch.cuda.is_available():
        print("skipped: torch sees no GPU")
        print(json.dumps({"bench": "generate", "model": "7b", "skipped": "no GPU"}))
        return
    figures = measure(options)
    print(
        f"{figures['model']}: {figures['ours_rows_per_s']} rows/s against {figures['plain_rows_per_s']}: "
        f"{figures['ratio']} times as fast"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
