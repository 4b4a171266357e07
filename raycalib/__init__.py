"""raycalib: makes a language model say how likely its answer is to be right, and makes that number true."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raycalib.bundles.answer import Answer
    from raycalib.bundles.calibrated_model import CalibratedModel

__all__ = ["Answer", "CalibratedModel"]
MODULES = {"Answer": "raycalib.bundles.answer", "CalibratedModel": "raycalib.bundles.calibrated_model"}


def __getattr__(name: str) -> Any:
    """What is for users is loaded, torch with it, once it is asked for."""
    if name not in MODULES:
        raise AttributeError(f"module 'raycalib' has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
