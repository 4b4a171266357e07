"""Shapes of the six stand-ins: the architecture class of the name they stand for, a thousandth of its size."""

from dataclasses import dataclass

from transformers import LlamaConfig, MistralConfig, PreTrainedConfig

VOCAB_SIZE = 2048
BOS_ID, EOS_ID, UNK_ID = 1, 2, 0
MAX_POSITIONS = 512


@dataclass(frozen=True, kw_only=True)
class StandinShape:
    """One stand-in: its family, size and the seed of its weights and corpus."""

    family: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    seed: int

    def config(self) -> PreTrainedConfig:
        """The transformers configuration: embeddings tied, no dropout, float16 on disk."""
        shared = {
            "vocab_size": VOCAB_SIZE,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": MAX_POSITIONS,
            "tie_word_embeddings": True,
            "bos_token_id": BOS_ID,
            "eos_token_id": EOS_ID,
            "pad_token_id": None,
        }
        if self.family == "mistral":
            return MistralConfig(sliding_window=MAX_POSITIONS, **shared)
        return LlamaConfig(**shared)


SHAPES = {
    "llama2:7b": StandinShape(family="llama", hidden=128, layers=5, heads=4, kv_heads=4, intermediate=352, seed=1),
    "llama2:7b-chat": StandinShape(family="llama", hidden=128, layers=5, heads=4, kv_heads=4, intermediate=352, seed=2),
    "llama2:13b": StandinShape(family="llama", hidden=144, layers=5, heads=4, kv_heads=4, intermediate=384, seed=3),
    "llama2:13b-chat": StandinShape(
        family="llama", hidden=144, layers=5, heads=4, kv_heads=4, intermediate=384, seed=4
    ),
    "mistral:7b": StandinShape(family="mistral", hidden=128, layers=5, heads=4, kv_heads=2, intermediate=384, seed=5),
    "mistral:7b-instruct": StandinShape(
        family="mistral", hidden=128, layers=5, heads=4, kv_heads=2, intermediate=384, seed=6
    ),
}
"""Shapes by the name that they stand in for."""
