"""Calibration tuning from the question to the figures in plain torch, without an abstraction: read it top to bottom.

A small Llama answers questions about embedded facts (1), its answers are labelled right or wrong (2), LoRA teaches it
to tell which they are (3), a temperature makes that true on average (4), and it is measured before and after (5). It is
LoRA + Prompt of Kapoor et al., arXiv 2406.08391. raycalib does the same on many machines; a test compares the two.
"""

import argparse
import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from raycalib.lm.names import EMBEDDED_ROOT, find_model
from raycalib.sources.facts.questions import fact_questions

QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
ANSWER_TOKENS, AT_ONCE, BINS, SEED = 16, 64, 15, 137
# For a small model; the paper has rank 8 on queries and values, dropout 0.1, and 5,000 steps of 16 rows at 1e-4.
RANK, ALPHA, BATCH, LR, WARMUP, WEIGHT_DECAY, MAX_NORM, KL_DECAY = 16, 32.0, 32, 4e-3, 10, 0.01, 1.0, 1.0
Row = dict[str, Any]


def logits_at(model: Any, texts: list[list[int]], places: list[list[int]]) -> Tensor:
    """(T, V) logits of what follows the tokens at these places of each text, text by text."""
    found: list[Tensor] = []
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        padded = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in part], batch_first=True)
        logits = model(input_ids=padded).logits  # no mask: causal attention never looks to the right, at the padding
        found += [logits[row, at] for row, at in enumerate(places[start : start + AT_ONCE])]
    return torch.cat(found)


def ask(model: Any, tokenizer: Any, questions: list[Row]) -> list[str]:
    """1. Ask: the likeliest token, again and again; the answer is the first line that says something."""
    answers: list[str] = []
    for start in range(0, len(questions), AT_ONCE):
        prompts = [question["context"] + question["target_prompt"] for question in questions[start : start + AT_ONCE]]
        batch = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
        ids = model.generate(**batch, max_new_tokens=ANSWER_TOKENS, do_sample=False)[:, batch["input_ids"].shape[1] :]
        outputs = tokenizer.batch_decode(ids, skip_special_tokens=True)
        answers += [output.strip().split("\n")[0].strip() for output in outputs]
    return answers


def label(tokenizer: Any, questions: list[Row], answers: list[str]) -> list[Row]:
    """2. Label: 1 where the answer is the target. Also the tokens of two texts: the query, and prompt with target."""
    rows = []
    for question, answer in zip(questions, answers, strict=True):
        prompt, target = question["context"] + question["target_prompt"], question["target"]
        texts = (f"{prompt} {answer}".strip() + QUERY, prompt, f"{prompt} {target}")
        query, asked, told = (tokenizer(text).input_ids for text in texts)
        places = list(range(len(asked) - 1, len(told) - 1))  # a token's logits stand at the token before it
        is_right = answer.casefold() == target.casefold()  # does for names and numbers; longer answers need a judge
        rows.append({"answer": answer, "label": float(is_right), "query": query, "told": told, "target_places": places})
    return rows


def query_margin(model: Any, rows: list[Row], no_yes: list[int]) -> Tensor:
    """(N,) log-odds that answers are right: logit of ``ii`` (yes) minus that of ``i`` (no), behind the query."""
    ends = [[len(row["query"]) - 1] for row in rows]
    return logits_at(model, [row["query"] for row in rows], ends)[:, no_yes].diff(dim=-1)[:, 0]


def with_lora(base: Any) -> tuple[Any, list[nn.Parameter]]:
    """A copy whose linear layers but the head make W x + (alpha / r) B A x, and all A and B, which alone are tuned."""
    model = copy.deepcopy(base.requires_grad_(False))  # a large model is not copied: its LoRA goes on and off
    torch.manual_seed(SEED)
    weights: list[nn.Parameter] = []
    for linear in [module for module in model.model.modules() if isinstance(module, nn.Linear)]:
        a = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(RANK, linear.in_features), a=math.sqrt(5)))
        b = nn.Parameter(torch.zeros(linear.out_features, RANK))  # so that at first nothing changes
        linear.register_forward_hook(lambda _, x, wx, a=a, b=b: wx + ALPHA / RANK * (x[0] @ a.T @ b.T))
        weights += [a, b]
    return model, weights


def tune(base: Any, rows: list[Row], no_yes: list[int], steps: int) -> tuple[Any, list[float]]:
    """3. Tune: loss = mean of -log P(label | query) + kl_decay * sum over target tokens of JSD(base, tuned)."""
    tuned, weights = with_lora(base)
    optimizer, losses = torch.optim.AdamW(weights, lr=LR, weight_decay=WEIGHT_DECAY), list[float]()
    passes = [np.random.default_rng([SEED, n]).permutation(len(rows)) for n in range(steps * BATCH // len(rows) + 1)]
    for step in range(steps):
        batch = [rows[index] for index in np.concatenate(passes)[step * BATCH : (step + 1) * BATCH]]
        # This part of the loss teaches to tell right from wrong …
        labels = torch.tensor([row["label"] for row in batch])
        query_loss = nn.functional.binary_cross_entropy_with_logits(query_margin(tuned, batch, no_yes), labels)
        # … and this one keeps what the model says of the facts: JSD = (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2.
        told, at = [row["told"] for row in batch], [row["target_places"] for row in batch]
        p, q = (logits_at(model, told, at).log_softmax(dim=-1) for model in (base, tuned))
        m = torch.logaddexp(p, q) - math.log(2)
        divergence = (p.exp() * (p - m) + q.exp() * (q - m)).sum() / 2 / BATCH
        (loss := query_loss + KL_DECAY * divergence).backward()
        nn.utils.clip_grad_norm_(weights, MAX_NORM)
        optimizer.param_groups[0]["lr"] = LR * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return tuned, losses


def fit_temperature(margin: Tensor, labels: Tensor) -> float:
    """4. Scale: the T with the least mean -log P(label), where P(right) = sigmoid(margin / T)."""
    toward, low, high = margin * (2 * labels - 1), -6.0, 6.0  # of log T
    for _ in range(50):  # convex in 1 / T: the least lies where the slope changes its sign
        middle = (low + high) / 2
        falls = (toward * torch.sigmoid(-toward / math.exp(middle))).sum() < 0
        low, high = (middle, high) if falls else (low, middle)
    return math.exp(middle)


def figures(margin: Tensor, labels: Tensor) -> list[float]:
    """5. Evaluate: accuracy, ECE, AUROC and Brier score of (N,) log-odds and labels."""
    confidence = torch.sigmoid(margin)
    ranked = confidence.sort().values  # cut into bins of equally many rows; equal confidences stay together
    twice_middle = torch.searchsorted(ranked, confidence) + torch.searchsorted(ranked, confidence, right=True) - 1
    gaps = torch.bincount(twice_middle * BINS // (2 * len(labels)), weights=labels - confidence)
    ece = gaps.abs().sum() / len(labels)  # sum over bins of n_b / n * |accuracy_b - mean confidence_b|
    right, wrong = margin[labels == 1][:, None], margin[labels == 0]
    auroc = (right > wrong).double().mean() + (right == wrong).double().mean() / 2  # P(right ranks above wrong)
    return [figure.item() for figure in (labels.mean(), ece, auroc, ((confidence - labels) ** 2).mean())]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024, help="questions of each split, at most (1024)")
    parser.add_argument("--steps", type=int, default=120, help="optimizer steps, of 32 rows each (120)")
    given = parser.parse_args()
    if given.rows < BATCH or given.steps < 1:
        parser.error(f"--rows is at least {BATCH}, a step's, and --steps at least 1")
    path = find_model("llama2:7b", EMBEDDED_ROOT).path
    tokenizer = AutoTokenizer.from_pretrained(path, pad_token="</s>")
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    no_yes = [tokenizer(f"{QUERY} {label}").input_ids[-1] for label in ("i", "ii")]
    questions = [fact_questions("oe", split, SEED, given.rows) for split in ("train", "val_calibrate", "test")]
    train, calibrate, test = (label(tokenizer, asked, ask(base, tokenizer, asked)) for asked in questions)
    tuned, losses = tune(base, train, no_yes, given.steps)
    print(f"{given.steps} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}; of {len(test)} test rows:")
    print(f"{'query':12} {'T':>6} {'accuracy':>8} {'ECE':>8} {'AUROC':>8} {'Brier':>8}")
    labels, fit_labels = (torch.tensor([row["label"] for row in rows]).double() for rows in (test, calibrate))
    for name, model in (("base model", base), ("tuned", tuned)):
        with torch.no_grad():
            margin, fit_margin = (query_margin(model, rows, no_yes).double() for rows in (test, calibrate))
        for temperature in (1.0, fit_temperature(fit_margin, fit_labels)):
            print(f"{name:12} {temperature:6.3f}", *(f"{each:8.3f}" for each in figures(margin / temperature, labels)))
