"""Scoring of answers by the uncertainty query, against a plain loop over batches of 16 in file order, both in one run.

python bench/query.py                    # small random Llama, questions of 60-300 tokens; CPU
python bench/query.py --adapted          # the same with LoRA on q and v, as after tuning
python bench/query.py --model demo       # embedded stand-in on its questions
python bench/query.py --model 7b         # 7B-shaped random Llama in bfloat16; skipped where there is no GPU

Both begin with text and end with what a run keeps of a row: two logits behind the query, and the final hidden state at
the answer's last token. The plain loop is one padded pass that gives both, with logits of all tokens as transformers
computes them. Both tokenize. Their outputs are compared. Ends with one line of JSON.
"""

import argparse
import json
import os
import random
from statistics import median

from generate import LANGUAGE, demo, question_texts, random_texts, seconds_of, seven_billion, small
import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.adapters import attach_lora
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import pad_token_id
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import query_text

PLAIN_BATCH = 16
CLOSE = {torch.float32: 1e-3, torch.bfloat16: 0.25}
"""Of logits and states; on two kernels that sum in another order."""

Scores = tuple[np.ndarray, np.ndarray]
"""(N, 2) logits and (N, H) states."""


def adapted(model: PreTrainedModel) -> PreTrainedModel:
    """The model with an adapter in its layers that changes something."""
    torch.manual_seed(1)
    wrapped = attach_lora(model, LoraSettings(), 0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.02 * torch.randn(weight.shape))
    return wrapped.eval().get_base_model()


@torch.inference_mode()
def plain_loop(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], answers: list[str]
) -> Scores:
    """What one would write first."""
    tokenizer.padding_side = "right"
    tokenizer.pad_token_id = pad_token_id(tokenizer)
    labels = list(query_label_tokens(tokenizer))
    logits, states = [], []
    for start in range(0, len(texts), PLAIN_BATCH):
        pairs = list(zip(texts, answers, strict=True))[start : start + PLAIN_BATCH]
        queries = tokenizer([query_text(*pair) for pair in pairs], return_tensors="pt", padding=True)
        answered = tokenizer([f"{text} {answer}".strip() for text, answer in pairs])["input_ids"]
        batch = {name: queries[name].to(model.device) for name in ("input_ids", "attention_mask")}
        out = model(**batch, output_hidden_states=True, use_cache=False)
        rows = torch.arange(len(pairs), device=model.device)
        last = batch["attention_mask"].sum(dim=1) - 1
        ends = torch.tensor([len(ids) - 1 for ids in answered], device=model.device)
        logits.append(out.logits[rows, last][:, labels].double().cpu().numpy())
        states.append(out.hidden_states[-1][rows, ends].float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(states)


def language_and_rows(options: argparse.Namespace) -> tuple[LANGUAGE, list[str], list[str]]:
    """A model, texts, and an answer to each."""
    if options.model == "demo":
        language, texts = demo(), question_texts(options.rows)
        return language, texts, [text.split()[-3] for text in texts]
    language = small() if options.model == "small" else seven_billion()
    texts = random_texts(options.rows, language[0].config.vocab_size)
    draw = random.Random(11)
    return language, texts, [" ".join(draw.choice(text.split()) for _ in range(draw.randint(1, 8))) for text in texts]


def measure(options: argparse.Namespace) -> dict[str, object]:
    (model, tokenizer), texts, answers = language_and_rows(options)
    read = adapted(model) if options.adapted else model
    scorer = QueryScorer(read, tokenizer, options.max_batch_tokens)
    found, plain = scorer.score(texts[:32], answers[:32]), plain_loop(read, tokenizer, texts[:32], answers[:32])  # warm
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}

    def ours() -> None:
        nonlocal found
        found = scorer.score(texts, answers)

    def theirs() -> None:
        nonlocal plain
        plain = plain_loop(read, tokenizer, texts, answers)

    for _ in range(options.repeats):
        seconds["ours"].append(seconds_of(ours))
        seconds["plain"].append(seconds_of(theirs))
    ours_s, plain_s = median(seconds["ours"]), median(seconds["plain"])
    apart = [float(np.abs(mine - other).max()) for mine, other in zip((found.logits, found.states), plain, strict=True)]
    return {
        "bench": "query",
        "model": options.model,
        "adapted": options.adapted,
        "rows": len(texts),
        "device": torch.cuda.get_device_name() if options.model == "7b" else f"{torch.get_num_threads()} CPU threads",
        "plain_rows_per_s": round(len(texts) / plain_s, 2),
        "ours_rows_per_s": round(len(texts) / ours_s, 2),
        "ratio": round(plain_s / ours_s, 2),
        "largest_difference": {"logits": float(f"{apart[0]:.2g}"), "states": float(f"{apart[1]:.2g}")},
        "same": max(apart) <= CLOSE[model.dtype],
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("small", "demo", "7b"), default="small")
    parser.add_argument("--adapted", action="store_true", help="score with a LoRA adapter on the model")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--max-batch-tokens", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if options.model == "7b" and not torch.cuda.is_available():
        print("skipped: torch sees no GPU")
        print(json.dumps({"bench": "query", "model": "7b", "skipped": "no GPU"}))
        return
    figures = measure(options)
    print(
        f"{figures['model']}: {figures['ours_rows_per_s']} rows/s against {figures['plain_rows_per_s']}: "
        f"{figures['ratio']} times as fast"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
