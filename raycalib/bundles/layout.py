"""Where the parts of a bundle lie in its directory.

The adapter of the first tuned method lies at the top, where plain PEFT and vLLM look for one; what else a method has
lies in a directory of its name.
"""

from collections.abc import Collection

from raycalib.evaluation.methods import LORA, LORA_PROMPT, PROBE, TUNED
from raycalib.storage import Location

HELD = (LORA_PROMPT, LORA, PROBE)
"""Methods that a bundle may hold, those before that are used before those after where none is named."""

CALIBRATION_TENSORS = "calibration.safetensors"
"""``log_odds`` and ``labels`` of the rows of ``val_calibrate``, which thresholds are chosen on."""


def adapter_place(bundle: Location, method: str, methods: Collection[str]) -> Location:
    """Where the adapter of a tuned method lies, beside those methods."""
    first = next(name for name in TUNED if name in methods)
    return bundle if method == first else bundle / method


def part_place(bundle: Location, method: str) -> Location:
    """Where a method's classifier, temperature and calibration rows lie."""
    return bundle / method
