"""Bytes that one pass over packed rows takes beside the weights.

What is counted is what autograd keeps of the pass as transformers and PEFT compute it, tensor by tensor. Frozen linear
modules keep nothing: a gradient reaches their input through the weight alone. No matrix of tokens × tokens is kept, the
attention kernels compute its parts again. Legend: N tokens of the pass, R of them are read by the loss, T are compared
by the divergence, H hidden size, I intermediate size, A heads.
"""

from dataclasses import dataclass

from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.model_shape import ModelShape

FLOAT32 = 4
"""Bytes of a float32: norms are computed in it, and PEFT keeps adapters of half-precision models in it."""

LOGIT_COPIES = 9
"""(T, V) float32 tensors that are alive at once in the Jensen-Shannon divergence, the most of all kinds: it keeps both
log-probabilities, both probabilities and one difference, and has four gradients at its worst moment."""

INPUTS = {
    "q_proj": "attention",
    "k_proj": "attention",
    "v_proj": "attention",
    "o_proj": "attended",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "gated",
}
"""Which tensor each linear module reads."""
NARROWED = frozenset({"q_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
"""Linear modules that the last layer computes only where the loss reads."""


@dataclass(frozen=True, kw_only=True)
class PassSizes:
    """Tokens of one pass.

    Attributes:
        tokens: of all rows, N.
        read: positions whose final state the loss reads, R.
        compared: positions whose next-token distributions the divergence compares, T.
        branch_keys: keys that the rows' branches attend to, their own and the shared prefix's: these are copied.
    """

    tokens: int
    read: int
    compared: int
    branch_keys: int


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes of passes through one model.

    Attributes:
        shape: of the model.
        lora: of its adapter.
        itemsize: bytes of a number between layers, that is of the base model's dtype.
        keeps_inputs: linear modules keep their inputs although they are frozen, as DeepSpeed's do under ZeRO-3.
    """

    shape: ModelShape
    lora: LoraSettings
    itemsize: int
    keeps_inputs: bool = False

    def layer(self, sizes: PassSizes, *, first: bool = False, last: bool = False) -> int:
        """Kept of one layer for the way back.

        Args:
            sizes: of the pass.
            first: nothing before the first layer is trained, so its input needs no gradient.
            last: computed only where the loss reads, but for keys, values and norms.
        """
        shape, n, asked = self.shape, sizes.tokens, sizes.read if last else sizes.tokens
        norm = (FLOAT32 * shape.hidden_size + FLOAT32) * n
        total = norm if first else 2 * norm
        if shape.qk_norm:
            total += FLOAT32 * (shape.query_size + shape.key_size + shape.n_heads + shape.n_kv_heads) * n
        # Queries, the attention's output, and keys and values, which are repeated where several heads share one.
        key = shape.key_size if shape.n_heads == shape.n_kv_heads else shape.query_size
        total += self.itemsize * (2 * shape.query_size * asked + 2 * key * (n + sizes.branch_keys))
        total += FLOAT32 * shape.n_heads * asked  # log-sum-exp of each token's scores
        total += 3 * shape.intermediate_size * self.itemsize * asked  # gate, activation, up
        return total + self._linear_modules(sizes, first, last)

    def _linear_modules(self, sizes: PassSizes, first: bool, last: bool) -> int:
        """Kept of a layer's linear modules and their adapters: inputs, dropout's masks, what lies between A and B."""
        total, kept = 0, set[tuple[str, int]]()
        places = {
            target: (name, sizes.read if last and target in NARROWED else sizes.tokens)
            for target, name in INPUTS.items()
        }
        if self.keeps_inputs:
            for target, place in places.items():
                if place not in kept and not (first and place[0] == "attention"):
                    total += self.itemsize * self.shape.linears[target][0] * place[1]
                    kept.add(place)
        for target in dict.fromkeys(self.lora.targets):
            (name, n), size = places[target], self.shape.linears[target][0]
            total += FLOAT32 * self.lora.rank * n
            if self.lora.dropout:
                has_mask = not (first and name == "attention")
                total += FLOAT32 * size * n * (1 + has_mask)
            elif self.itemsize < FLOAT32 or (name, n) not in kept:
                total += FLOAT32 * size * n
                kept.add((name, n))
        return total

    def kept(self, sizes: PassSizes, checkpointing: bool) -> int:
        """Kept of the whole pass until it has gone back: with checkpointing, the layers' inputs alone."""
        shape, n, n_layers = self.shape, sizes.tokens, self.shape.n_layers
        around = (FLOAT32 * shape.hidden_size + FLOAT32 + 2 * shape.head_dim * self.itemsize) * n  # last norm, rotation
        if checkpointing:
            return around + n_layers * shape.hidden_size * self.itemsize * n
        return around + sum(self.layer(sizes, first=i == 0, last=i == n_layers - 1) for i in range(n_layers))

    def worst_moment(self, sizes: PassSizes, checkpointing: bool) -> int:
        """Most that is alive beside what is kept: at the logits, or on the way back through a layer."""
        in_layer = self._backward_work(sizes)
        if checkpointing:
            in_layer += self.layer(sizes, last=self.shape.n_layers == 1)
        logits = LOGIT_COPIES * FLOAT32 * self.shape.vocab_size * sizes.compared
        return max(in_layer, logits)

    def _backward_work(self, sizes: PassSizes) -> int:
        """Gradients that are alive at once on the way back through an MLP: of product, activation and up.

        An adapter on its last module has two of float32, of its input before and after dropout.
        """
        adapted = 2 * FLOAT32 if "down_proj" in self.lora.targets else 0
        return max(3 * self.itemsize, adapted) * self.shape.intermediate_size * sizes.tokens

    def reading(self, tokens: int) -> int:
        """Most that is alive at once in a pass without gradients, which is in an MLP.

        Beside activation, up and their product there are the states before the first layer, before this one, before its
        MLP and after the norm. An adapter adds its output to that of its module in float32.
        """
        shape, adapted = self.shape, not {"gate_proj", "up_proj"}.isdisjoint(self.lora.targets)
        inner = 2 * self.itemsize + 2 * FLOAT32 if adapted else 3 * self.itemsize
        hidden = 4 * self.itemsize + (FLOAT32 if adapted and self.itemsize < FLOAT32 else 0)
        rotation = 2 * self.itemsize * shape.head_dim
        return (inner * shape.intermediate_size + hidden * shape.hidden_size + rotation) * tokens
