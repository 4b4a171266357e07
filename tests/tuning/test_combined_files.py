"""Saved weights are read as they were; what is none is refused in one line."""

from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.combined import Combined
from raycalib.tuning.combined_files import load_combined, save_combined

WEIGHTS = Combined(signals=("lora_prompt", "probe"), weights=(0.1, 1 / 3), shift=-2.0, n=60)


def test_saved_weights_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    save_combined(Location(str(tmp_path)), WEIGHTS)
    assert load_combined(Location(str(tmp_path))) == WEIGHTS


@pytest.mark.parametrize(
    "changes",
    [
        {"signals": ["lora_prompt"]},
        {"signals": [["lora_prompt"], "probe"]},
        {"signals": "lora_prompt"},
        {"signals": ["probe", "probe"]},
        {"weights": [0.5, 10**400]},
        {"weights": [0.5]},
        {"weights": [0.5, "1"]},
        {"weights": [0.5, None]},
        {"weights": {"lora_prompt": 1}},
        {"shift": True},
        {"shift": None},
        {"n": -1},
        {"n": 2.5},
    ],
    ids=str,
)
def test_what_is_none_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    place = Location(str(tmp_path))
    save_combined(place, WEIGHTS)
    place.write_json("combined.json", place.read_json("combined.json") | changes)
    with pytest.raises(ModelError, match=r"combined\.json does not describe weights"):
        load_combined(place)
    place.write_bytes("combined.json", b'{"signals": ["lora", "probe"], "weights": [1, NaN], "shift": 0, "n": 1}')
    with pytest.raises(ModelError, match="a finite number for each of several"):
        load_combined(place)
    for other in ([1, 2], "text", None):
        place.write_json("combined.json", other)
        with pytest.raises(ModelError, match="does not describe weights"):
            load_combined(place)
