"""What continues texts, behind one interface: transformers, vLLM, or a server with OpenAI's completions."""

from raycalib.lm.engines.requests import Engine, Generation, GenerationRequest, TokenCounts

__all__ = ["Engine", "Generation", "GenerationRequest", "TokenCounts"]
