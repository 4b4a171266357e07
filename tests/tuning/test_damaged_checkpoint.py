"""A run whose newest checkpoint is damaged goes on from the one before it."""

from pathlib import Path

import pytest

from raycalib.storage import Location
from raycalib.tuning.hooks import Hooks
from tests.tuning.test_trainer import TinyLlama, check_same_weights, make_tuner


@pytest.mark.parametrize("n_damaged", [1, 2])
def test_a_run_ends_as_if_its_checkpoints_were_never_damaged(
    tiny_llama: TinyLlama, tmp_path: Path, n_damaged: int
) -> None:
    place = Location(str(tmp_path))
    whole = make_tuner(tiny_llama, place).run()
    for name in ("step-00000007", "step-00000006")[:n_damaged]:
        content = bytearray((place / name).read_bytes("tensors.safetensors"))
        content[-2] ^= 64
        (place / name).write_bytes("tensors.safetensors", bytes(content))
    said: list[str] = []
    tuner = make_tuner(tiny_llama, place, hooks=Hooks(say=said.append))
    assert (tuner.state.step if tuner.state else 0) == (6 if n_damaged == 1 else 0)
    check_same_weights(tuner.run(), whole)
    remarks = [line for line in said if "checkpoint" in line]
    assert len(remarks) == (1 if n_damaged == 1 else 3)
    assert "step-00000007 is damaged (its files are not as they were written): it is passed over" in remarks[0]
