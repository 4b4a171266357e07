"""Keys and values of texts that are decoded together, in memory that is taken once."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

SIMPLE_LAYERS = {"full_attention", "sliding_attention"}


class LayerStates(NamedTuple):
    """(B, heads, S, D) keys and values of one layer; the last dimensions may differ."""

    keys: Tensor
    values: Tensor


def has_simple_cache(model: PreTrainedModel) -> bool:
    """Whether every layer keeps keys and values for itself, so that rows can be taken out and put together.

    Not so with recurrent layers, layers that share a cache, and chunks.
    """
    config = model.config.get_text_config(decoder=True)
    if not set(getattr(config, "layer_types", None) or ()) <= SIMPLE_LAYERS:
        return False
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers)


def states_of(cache: Cache) -> list[LayerStates]:
    """What a model has left in a cache without windows."""
    return [LayerStates(layer.keys, layer.values) for layer in cache.layers]


class _RoomyLayer(DynamicLayer):
    """A layer whose new states are written behind the old ones, where transformers copies all of them every step."""

    def __init__(self, like: LayerStates, n_rows: int, capacity: int) -> None:
        super().__init__()
        self.dtype, self.device = like.keys.dtype, like.keys.device
        self.room = LayerStates(
            *(states.new_zeros(n_rows, states.shape[1], capacity, states.shape[3]) for states in like)
        )
        self.is_initialized = True

    def show(self, end: int) -> None:
        self.keys, self.values = (states[:, :, :end] for states in self.room)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        self.room.keys[:, :, start:end] = key_states
        self.room.values[:, :, start:end] = value_states
        self.show(end)
        return self.keys, self.values


class KvRows:
    """Rows that all end at the same column, padded on the left, with room to grow on the right.

    Attributes:
        end: columns in use.
        lengths: (B,) of the rows, padding not counted: the position of each row's next token.
    """

    def __init__(self, n_rows: int, end: int, room: int, device: torch.device) -> None:
        self.end = end
        self.lengths = torch.zeros(n_rows, dtype=torch.long, device=device)
        self._room = room
        self._mask = torch.zeros(n_rows, end + room, dtype=torch.bool, device=device)
        self._layers: list[_RoomyLayer] = []

    def write(self, first: int, states: Iterable[LayerStates], lengths: Sequence[int]) -> None:
        """Puts rows in place, from row ``first`` on; their states are padded on the left."""
        last = first + len(lengths)
        for number, layer in enumerate(states):
            if number == len(self._layers):
                self._layers.append(_RoomyLayer(layer, len(self.lengths), self.end + self._room))
            mine = self._layers[number]
            width = layer.keys.shape[2]
            mine.room.keys[first:last, :, self.end - width : self.end] = layer.keys
            mine.room.values[first:last, :, self.end - width : self.end] = layer.values
            mine.show(self.end)
        self.lengths[first:last] = torch.tensor(lengths, device=self.lengths.device)
        columns = torch.arange(self._mask.shape[1], device=self._mask.device)
        self._mask[first:last] = (columns < self.end) & (columns >= self.end - self.lengths[first:last, None])

    def rows(self, chosen: Sequence[int], width: int) -> Iterable[LayerStates]:
        """The last columns of some rows, layer by layer."""
        index = torch.tensor(chosen, device=self.lengths.device)
        for layer in self._layers:
            yield LayerStates(*(states[:, :, self.end - width : self.end][index] for states in layer.room))

    def step(self, model: PreTrainedModel, tokens: Tensor) -> Tensor:
        """(B, V) logits behind one more token per row, (B,)."""
        self._mask[:, self.end] = True
        self.end += 1
        out = model(
            input_ids=tokens[:, None],
            attention_mask=self._mask[:, : self.end],
            position_ids=self.lengths[:, None],
            past_key_values=Cache(layers=self._layers),
            use_cache=True,
        )
        self.lengths += 1
        logits: Tensor = out.logits[:, -1]
        return logits
