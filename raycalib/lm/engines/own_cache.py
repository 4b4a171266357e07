"""Greedy decoding with the cache that a model makes for itself: recurrent layers, shared caches, chunks."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from raycalib.lm.batching import pad_left
from raycalib.lm.engines.answer_end import GrowingAnswer, Spelling
from raycalib.lm.engines.decoding import choose
from raycalib.lm.engines.requests import Generation, TokenCounts


def decode_together(
    model: PreTrainedModel,
    spelling: Spelling[int],
    pad: int,
    max_new_tokens: int,
    counts: TokenCounts,
    texts: Sequence[Sequence[int]],
) -> list[Generation]:
    """Generations of one batch; it is decoded until all its answers have ended."""
    ids, mask = (part.to(model.device) for part in pad_left(texts, pad))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    n_tokens = sum(map(len, texts))
    counts.tokens_read += n_tokens
    counts.padded_positions += ids.numel() - n_tokens
    answers = [GrowingAnswer(spelling) for _ in texts]
    cache = None
    for step in range(max_new_tokens):
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        choice, cache = choose(out.logits[:, -1]), out.past_key_values
        ended = sum(answer.stopped for answer in answers)
        counts.tokens_generated += len(texts) - ended
        counts.padded_positions += ended if step else 0
        for answer, token, gain, margin in zip(answers, choice.ids, choice.gains, choice.margins, strict=True):
            answer.add(token, gain, margin)
        if all(answer.stopped for answer in answers):
            break
        ids, positions = choice.tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(texts), 1)], dim=1)
    return [answer.result() for answer in answers]
