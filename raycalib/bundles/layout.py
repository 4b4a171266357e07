"""Where the parts of a bundle lie in its directory.

The adapter of the first tuned method lies at the top, where plain PEFT and vLLM look for one; what else a method has
lies in a directory of its name.
"""

from collections.abc import Collection

from raycalib.evaluation.methods import COMBINED, LORA, LORA_PROMPT, PROBE, TUNED
from raycalib.lm.adapter_names import ADAPTER_FILES
from raycalib.storage import Location
from raycalib.tuning.combined_files import COMBINED_FILE
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS
from raycalib.tuning.temperature_files import TEMPERATURE_RECORD, TEMPERATURE_TENSORS

HELD = (LORA_PROMPT, LORA, PROBE, COMBINED)
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


def part_files(bundle: Location, methods: Collection[str]) -> list[str]:
    """The files of a bundle's methods that are there, named from its directory."""
    names = [*ADAPTER_FILES, PROBE_TENSORS, PROBE_RECORD, COMBINED_FILE]
    names += [TEMPERATURE_TENSORS, TEMPERATURE_RECORD, CALIBRATION_TENSORS]
    of_methods = [f"{method}/{name}" for method in HELD if method in methods for name in names]
    return [name for name in (*ADAPTER_FILES, *of_methods) if bundle.exists(name)]
