"""Greedy generation of answers, and their likelihood under the model that gave them; see ``raycalib.lm.engines``."""

from raycalib.lm.engines import Engine, Generation, GenerationRequest, TokenCounts
from raycalib.lm.engines.answer_end import stop_tokens
from raycalib.lm.engines.transformers_engine import GreedyGenerator

__all__ = ["Engine", "Generation", "GenerationRequest", "GreedyGenerator", "TokenCounts", "stop_tokens"]
