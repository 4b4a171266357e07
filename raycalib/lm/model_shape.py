"""The sizes of a decoder built as Llama, and how many parameters they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raycalib.errors import ModelError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Values of ``model_type`` whose layers are known to have the parts that are counted here."""

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a decoder with grouped-query attention, a gated MLP and root-mean-square norms.

    Attributes:
        hidden_size: of the states between layers.
        intermediate_size: of the MLP's inside.
        n_layers: decoder layers.
        n_heads: of the queries.
        n_kv_heads: of keys and values.
        head_dim: of each head.
        vocab_size: rows of the embedding.
        tied_embeddings: the language-model head is the embedding.
        qkv_bias: on the projections to queries, keys and values.
        output_bias: on the attention's output projection.
        mlp_bias: on the MLP's three projections.
        qk_norm: queries and keys have norms of their own, as in Qwen 3.
    """

    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False

    @property
    def query_size(self) -> int:
        """Of all heads' queries."""
        return self.n_heads * self.head_dim

    @property
    def key_size(self) -> int:
        """Of all heads' keys, and of their values."""
        return self.n_kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Input and output sizes of a layer's linear modules, by name."""
        hidden, inner, query, key = self.hidden_size, self.intermediate_size, self.query_size, self.key_size
        return {
            "q_proj": (hidden, query),
            "k_proj": (hidden, key),
            "v_proj": (hidden, key),
            "o_proj": (query, hidden),
            "gate_proj": (hidden, inner),
            "up_proj": (hidden, inner),
            "down_proj": (inner, hidden),
        }

    @property
    def n_linear_weights(self) -> int:
        """Numbers in the weights of all layers' linear modules: what a quantized base keeps in few bits."""
        return self.n_layers * sum(size_in * size_out for size_in, size_out in self.linears.values())

    @property
    def n_linear_outputs(self) -> int:
        """Outputs of all layers' linear modules."""
        return self.n_layers * sum(size_out for _, size_out in self.linears.values())

    @property
    def n_parameters(self) -> int:
        """All parameters, a tied head once."""
        biases = self.qkv_bias * (self.query_size + 2 * self.key_size) + self.output_bias * self.hidden_size
        biases += self.mlp_bias * (2 * self.intermediate_size + self.hidden_size)
        norms = 2 * self.hidden_size + self.qk_norm * 2 * self.head_dim
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * self.hidden_size
        return embeddings + self.n_linear_weights + self.n_layers * (biases + norms) + self.hidden_size

    def n_lora_parameters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Parameters of a LoRA adapter.

        Raises:
            ModelError: a target is not a linear module of the layers.
        """
        unknown = [target for target in targets if target not in self.linears]
        if unknown:
            raise ModelError(
                f"lora.targets: {', '.join(unknown)} cannot be planned for; known: {', '.join(self.linears)}"
            )
        return self.n_layers * rank * sum(sum(self.linears[target]) for target in set(targets))


def model_shape(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape that a transformers configuration describes.

    Args:
        config: content of a ``config.json``, or a configuration's ``to_dict()``.
        name: of the model, for errors.

    Raises:
        ModelError: the model is not built as Llama, or a size is missing.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ModelError(
            f"plan: {name!r} is of the type {family!r}, whose memory is not known; known: {', '.join(FAMILIES)}"
        )
    wrong = [size for size in SIZES if not isinstance(config.get(size), int) or config[size] < 1]
    if wrong:
        raise ModelError(f"plan: the configuration of {name!r} has no usable {', '.join(wrong)}; look at config.json")
    heads = config["num_attention_heads"]
    attention_bias = bool(config.get("attention_bias"))
    return ModelShape(
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        n_layers=config["num_hidden_layers"],
        n_heads=heads,
        n_kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocab_size=config["vocab_size"],
        tied_embeddings=bool(config.get("tie_word_embeddings")),
        qkv_bias=family == "qwen2" or attention_bias,
        output_bias=attention_bias and family != "qwen2",
        mlp_bias=bool(config.get("mlp_bias")),
        qk_norm=family == "qwen3",
    )
