"""Packed passes: texts of a batch one behind the other, without padding and without dense masks."""

from raycalib.lm.packed.attention import PACKED_ATTENTION, PackedRow, no_mask, use_packed_attention
from raycalib.lm.packed.last_layer import LastLayerReads, reading_alone
from raycalib.lm.packed.row_dropout import RowDropouts

__all__ = [
    "PACKED_ATTENTION",
    "LastLayerReads",
    "PackedRow",
    "RowDropouts",
    "no_mask",
    "reading_alone",
    "use_packed_attention",
]
