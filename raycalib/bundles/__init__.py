"""What was tuned, ready to use: bundles are saved, read, asked and published here."""

from raycalib.bundles.answer import Answer
from raycalib.bundles.calibrated_model import CalibratedModel

__all__ = ["Answer", "CalibratedModel"]
