"""Shapes of the six stand-ins: the architecture class of the name they stand for, a thousandth of its size."""

from dataclasses import dataclass, replace

from transformers import LlamaConfig, MistralConfig, PreTrainedConfig

VOCAB_SIZE = 2048
BOS_ID, EOS_ID, UNK_ID = 1, 2, 0
MAX_POSITIONS = 512


@dataclass(frozen=True, kw_only=True)
class StandinShape:
    """One stand-in: its family, size, the seed of its weights and corpus, and whose weights it goes on from, if any."""

    family: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    seed: int
    tuned_from: str | None = None

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
    "llama2:13b": StandinShape(family="llama", hidden=128, layers=6, heads=4, kv_heads=4, intermediate=352, seed=3),
    "mistral:7b": StandinShape(family="mistral", hidden=128, layers=5, heads=4, kv_heads=2, intermediate=384, seed=5),
}
"""Shapes by the name that they stand in for. The variants that were tuned to converse have those of the plain ones."""

for _name, _plain, _seed in (
    ("llama2:7b-chat", "llama2:7b", 2),
    ("llama2:13b-chat", "llama2:13b", 4),
    ("mistral:7b-instruct", "mistral:7b", 6),
):
    SHAPES[_name] = replace(SHAPES[_plain], seed=_seed, tuned_from=_plain)
