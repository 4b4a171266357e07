"""Where questions come from: the embedded facts, datasets on the hub, and your own files."""

from raycalib.sources.drawing.draw import DrawTally, check_splits, draw_questions, draw_set
from raycalib.sources.drawing.refused import RefusedRow
from raycalib.sources.question_sets import LEARNED_FROM, QuestionSet, calibration_set, evaluation_sets, training_set
from raycalib.sources.registry import asked_styles, check_sets, check_source, describe_source, set_identity
from raycalib.sources.settings import SourceSettings

__all__ = [
    "LEARNED_FROM",
    "DrawTally",
    "QuestionSet",
    "RefusedRow",
    "SourceSettings",
    "asked_styles",
    "calibration_set",
    "check_sets",
    "check_source",
    "check_splits",
    "describe_source",
    "draw_questions",
    "draw_set",
    "evaluation_sets",
    "set_identity",
    "training_set",
]
