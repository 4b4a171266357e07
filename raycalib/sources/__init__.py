"""Where questions come from: the embedded facts, and your own files."""

from raycalib.sources.registry import check_source, draw_questions, source_identity
from raycalib.sources.settings import SourceSettings

__all__ = ["SourceSettings", "check_source", "draw_questions", "source_identity"]
