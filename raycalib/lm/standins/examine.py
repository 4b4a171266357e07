"""What a stand-in knows: the share of right answers per split, style and family, by greedy decoding."""

from collections import defaultdict

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.records import PROMPT_STYLES
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import HELDOUT, TEST


def examine(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, batch_size: int = 128
) -> dict[str, float]:
    """Accuracy on all test and held-out questions by ``split/style`` and, for test, ``test/style/family``.

    An answer is right when greedy decoding would produce it and then end the line: every token of
    ``answer + newline`` must be the most likely one given those before it.
    """
    hits: dict[str, list[bool]] = defaultdict(list)
    for style in PROMPT_STYLES:
        for split in (TEST, HELDOUT):
            rows = fact_questions(style, split, seed)
            texts = [(row["context"] + row["target_prompt"], f" {row['target']}\n") for row in rows]
            order = sorted(range(len(rows)), key=lambda index: len(texts[index][0]))
            for start in range(0, len(order), batch_size):
                part = order[start : start + batch_size]
                for index, hit in zip(part, _hits(model, tokenizer, [texts[i] for i in part]), strict=True):
                    hits[f"{split}/{style}"].append(hit)
                    if split == TEST:
                        hits[f"{split}/{style}/{rows[index]['task']}"].append(hit)
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}


@torch.no_grad()
def _hits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[tuple[str, str]]) -> list[bool]:
    prompts = [tokenizer(prompt)["input_ids"] for prompt, _ in texts]
    full = [tokenizer(prompt + answer)["input_ids"] for prompt, answer in texts]
    width = max(map(len, full))
    ids = torch.zeros(len(full), width, dtype=torch.long)
    for row, tokens in enumerate(full):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    best = model(input_ids=ids).logits.argmax(dim=-1)
    return [
        bool((best[row, len(prompt) - 1 : len(tokens) - 1] == ids[row, len(prompt) : len(tokens)]).all())
        for row, (prompt, tokens) in enumerate(zip(prompts, full, strict=True))
    ]
