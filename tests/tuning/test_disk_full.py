"""A disk that fills up while a run writes: the system refuses the write, as it does beyond a limit of file size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import resource

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import StorageError
from raycalib.storage import Location
from raycalib.tuning.checkpoint import complete_checkpoints
from raycalib.tuning.figures import TuningProgress
from tests.tuning.test_trainer import make_tuner

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


@contextmanager
def limit_restored() -> Iterator[None]:
    """The limit of file size is afterwards what it was."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_error_says_so_and_the_last_checkpoint_is_intact(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    undisturbed = make_tuner(tiny_llama, Location(str(tmp_path / "undisturbed"))).run()
    place = Location(str(tmp_path / "full"))

    def fill(figures: TuningProgress) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    with limit_restored(), pytest.raises(StorageError, match=r"cannot write .*step-00000004.*File too large"):
        make_tuner(tiny_llama, place, observe=fill).run()
    assert [step for step, _ in complete_checkpoints(place)] == [2]
    assert not list(tmp_path.rglob("*.tmp"))
    state = make_tuner(tiny_llama, place).run()
    assert state.step == undisturbed.step
    for name, tensor in undisturbed.tensors.items():
        assert torch.equal(state.tensors[name], tensor), name
