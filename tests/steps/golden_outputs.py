"""Small outputs of every step, as hashes beside the versions that stand in the steps' keys.

python -m tests.steps.golden_outputs    # records those whose version was raised; refuses where one was not

Texts and whole numbers count as they are. Floating-point numbers count by the cell of a grid that they lie in, and the
grid of each output is laid so that none lies near an edge: other CPUs and libraries give the same hash, a number
that changes by 5 % or more gives another one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
import json
import math
from pathlib import Path
import sys
from typing import Any

from raycalib.hashing import stable_hash
from tests.steps.small_outputs import OUTPUTS, VERSIONS

FILE = Path(__file__).with_suffix(".json")
COMMAND = "python -m tests.steps.golden_outputs"
CELL, SMALL = 0.05, 0.05
"""Width of a cell: so much of a number, and of numbers below ``SMALL`` so much of that."""

MARGIN = 0.02
"""No number lies so near an edge, in cells: 0.1 % of it, a hundred times what float32 on another CPU makes of it."""

OFFSETS = 200


def output_of(step: str, place: Path) -> Any:
    """What comes out of a step, plain values."""
    return OUTPUTS[step](place)


def versions_of(step: str) -> dict[str, Any]:
    """The versions in the step's key, by file and name."""
    return {name: read() for name, read in VERSIONS[step].items()}


def hash_of(output: Any, offset: float) -> str:
    """Hash of an output in a grid."""
    return stable_hash(_in_grid(output, offset))


def clear_offset(output: Any) -> float:
    """Of a grid with no number near an edge; one of a number that is 0 stays there."""
    found = [_cells(number) for number in _floats(output)]
    for index in range(OFFSETS):
        offset = index / OFFSETS
        if all(MARGIN < (cells + offset) % 1 < 1 - MARGIN for cells in found):
            return offset
    raise ValueError(f"{len(found)} numbers are too many for a grid; take fewer")


def _in_grid(value: Any, offset: float) -> Any:
    if isinstance(value, float):
        return f"cell {math.floor(_cells(value) + offset)}" if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): _in_grid(part, offset) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_in_grid(part, offset) for part in value]
    return value


def _cells(number: float) -> float:
    return math.asinh(number / SMALL) / CELL


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float) and math.isfinite(value):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _floats(part)


@dataclass(frozen=True)
class Golden:
    """What is recorded of a step."""

    versions: Mapping[str, Any]
    offset: float
    hash: str


def recorded() -> dict[str, Golden]:
    """By step."""
    return {step: Golden(**values) for step, values in json.loads(FILE.read_text()).items()} if FILE.exists() else {}


def fault(step: str, output: Any, versions: Mapping[str, Any], golden: Golden | None) -> str:
    """What is wrong with what is recorded of a step, and what to do; empty where it is right."""
    if golden is None:
        return f"nothing is recorded of step {step}: run `{COMMAND}`"
    if versions != golden.versions:
        return f"the version of step {step} was raised: run `{COMMAND}` to record the new hash with it"
    if hash_of(output, golden.offset) != golden.hash:
        return (
            f"what comes out of step {step} has changed: raise one of {', '.join(versions)} and run `{COMMAND}` to "
            "record the new hash (where only the test's own rows have changed: delete the step from "
            f"{FILE.name} and run it)"
        )
    return ""


def record(place: Path, say: Callable[[str], None] = print) -> bool:
    """Writes what is new; False where an output has changed under its old version, which stays as it was."""
    found, is_right = recorded(), True
    for step in OUTPUTS:
        output, versions = output_of(step, place / step), versions_of(step)
        wrong = fault(step, output, versions, found.get(step))
        if "has changed" in wrong:
            say(wrong)
            is_right = False
        elif wrong:
            offset = clear_offset(output)
            found[step] = Golden(versions, offset, hash_of(output, offset))
            say(f"{step}: recorded")
    FILE.write_text(json.dumps({step: vars(found[step]) for step in OUTPUTS if step in found}, indent=2) + "\n")
    return is_right


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as directory:
        sys.exit(0 if record(Path(directory)) else 1)
