"""raycalib: makes a language model say how likely its answer is to be right, and makes that number true."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raycalib.bundles import Answer, CalibratedModel

__all__ = ["Answer", "CalibratedModel"]


def __getattr__(name: str) -> Any:
    """What is for users is loaded, torch with it, once it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'raycalib' has no attribute {name!r}")
    from raycalib import bundles

    return getattr(bundles, name)
