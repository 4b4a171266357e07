"""Where questions come from: the embedded facts, datasets on the hub, and your own files."""

from raycalib.sources.drawing.draw import DrawTally, draw_questions
from raycalib.sources.drawing.refused import RefusedRow
from raycalib.sources.registry import check_source, describe_source, source_identity
from raycalib.sources.settings import SourceSettings

__all__ = [
    "DrawTally",
    "RefusedRow",
    "SourceSettings",
    "check_source",
    "describe_source",
    "draw_questions",
    "source_identity",
]
