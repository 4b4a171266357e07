"""Runs of several lengths on one trunk: each is exactly the run that tuning alone to that length gives."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location
from raycalib.tuning.checkpoint import STATE_NAME, TENSORS_NAME, TrainingState, complete_checkpoints
from raycalib.tuning.engines import TorchEngine
from raycalib.tuning.hooks import Hooks
from raycalib.tuning.schedule import branch_step
from raycalib.tuning.settings import TuningMethod, TuningSettings
from raycalib.tuning.trunk import Trunk
from tests.tuning.test_trainer import CutOffError, make_tuner

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
BRANCHES = {5: 3, 7: 4, 9: 5}
"""Of each length; 3 and 5 lie between two evaluations."""

WSD = TuningSettings(
    steps=5,
    global_batch_size=5,
    micro_batch_size=2,
    lr=2e-3,
    warmup_steps=2,
    weight_decay=0.01,
    schedule="wsd",
    decay_share=0.4,
    eval_every=2,
    checkpoint_every=100,
    lora=LoraSettings(rank=2, dropout=0.2),
)


class Lengths:
    """Runs in one directory, each with its own checkpoints and all with one trunk."""

    def __init__(self, tiny: TinyLlama, place: Path, settings: TuningSettings = WSD) -> None:
        self.tiny, self.place, self.settings = tiny, place, settings
        self.trunk = Trunk(place=Location(str(place / "trunk")), key="trunk")
        self.said: list[str] = []

    def run(self, steps: int, trunk: Trunk | None = None) -> TrainingState:
        hooks = Hooks(say=self.said.append)
        settings = replace(self.settings, steps=steps)
        checkpoints = Location(str(self.place / f"of-{steps}"))
        return make_tuner(
            self.tiny, checkpoints, settings, hooks=hooks, key=f"of-{steps}", trunk=trunk or self.trunk
        ).run()

    def alone(self, steps: int) -> TrainingState:
        place = Location(str(self.place / f"alone-{steps}"))
        return make_tuner(self.tiny, place, replace(self.settings, steps=steps)).run()

    def left(self) -> list[int]:
        return [step for step, _ in complete_checkpoints(self.trunk.place)]


@pytest.fixture
def lengths(tiny_llama: TinyLlama, tmp_path: Path) -> Lengths:
    return Lengths(tiny_llama, tmp_path)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate of each step that the engine really does."""
    rates: list[float] = []
    step = TorchEngine.step

    def counted(engine: TorchEngine, micro_batches: object, n_rows: int, lr: float) -> object:
        rates.append(lr)
        return step(engine, micro_batches, n_rows, lr)  # type: ignore[arg-type]

    monkeypatch.setattr(TorchEngine, "step", counted)
    return rates


def check_the_same(found: TrainingState, expected: TrainingState) -> None:
    assert found.tensors.keys() == expected.tensors.keys()
    assert [name for name in found.tensors if not torch.equal(found.tensors[name], expected.tensors[name])] == []
    for name in ("step", "best_step", "best_nll", "history"):
        assert getattr(found, name) == getattr(expected, name)


def test_these_branch_points() -> None:
    assert {steps: branch_step(replace(WSD, steps=steps)) for steps in BRANCHES} == BRANCHES


@pytest.mark.parametrize("method", ["lora_prompt", "lora", "probe"])
def test_each_length_is_the_run_that_tuning_alone_gives_and_computes_the_trunk_once(
    tiny_llama: TinyLlama, tmp_path: Path, computed: list[float], method: TuningMethod
) -> None:
    lengths = Lengths(tiny_llama, tmp_path, replace(WSD, method=method))
    found, n_steps = {}, {}
    for steps in BRANCHES:
        before = len(computed)
        found[steps] = lengths.run(steps)
        n_steps[steps] = len(computed) - before
    assert n_steps == {5: 5, 7: 7 - 3, 9: 9 - 4}
    assert lengths.left() == [3, 4, 5]
    for steps, state in found.items():
        check_the_same(state, lengths.alone(steps))
    assert len(computed) == 5 + 4 + 5 + 5 + 7 + 9
    assert lengths.said == ["its first 3 steps are those of a run of another length",
                            "its first 4 steps are those of a run of another length"]  # fmt: skip


def test_a_shorter_length_that_comes_later_takes_no_state_beyond_its_branch_point(
    lengths: Lengths, computed: list[float]
) -> None:
    lengths.run(9)
    for steps, computes in ((5, 5), (7, 7 - 3)):
        before = len(computed)
        state = lengths.run(steps)
        assert len(computed) - before == computes
        check_the_same(state, lengths.alone(steps))


@pytest.mark.parametrize(
    ("checkpoint_every", "cut_after", "goes_on_from"),
    [(2, 4, 4), (2, 8, 8), (100, 8, BRANCHES[9]), (100, 4, BRANCHES[5])],
)
def test_cut_off_anywhere_it_goes_on_from_its_own_checkpoint(
    tiny_llama: TinyLlama,
    tmp_path: Path,
    computed: list[float],
    monkeypatch: pytest.MonkeyPatch,
    checkpoint_every: int,
    cut_after: int,
    goes_on_from: int,
) -> None:
    """Cut on the trunk or in the decay; what it had of the trunk it has still."""
    lengths = Lengths(tiny_llama, tmp_path, replace(WSD, checkpoint_every=checkpoint_every))
    lengths.run(5)
    counted, before = TorchEngine.step, len(computed)

    def cut(engine: TorchEngine, *given: object) -> object:
        if len(computed) - before == cut_after - BRANCHES[5]:
            raise CutOffError
        return counted(engine, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "step", cut)
        with pytest.raises(CutOffError):
            lengths.run(9)
    before = len(computed)
    state = lengths.run(9)
    assert len(computed) - before == 9 - goes_on_from
    check_the_same(state, lengths.alone(9))


def test_a_run_cut_off_before_its_first_checkpoint_has_its_start_on_the_trunk_for_its_own(lengths: Lengths) -> None:
    lengths.run(5)
    settings = replace(WSD, steps=9)
    own = Location(str(lengths.place / "own"))
    tuner = make_tuner(lengths.tiny, own, settings, trunk=lengths.trunk)
    assert tuner.last_checkpoint == 3
    assert complete_checkpoints(own) == [(3, "step-00000003")]
    (lengths.trunk.place / "step-00000003").remove()
    check_the_same(make_tuner(lengths.tiny, own, settings, trunk=lengths.trunk).run(), lengths.alone(9))


def test_a_damaged_state_is_passed_over_and_mended(lengths: Lengths, computed: list[float]) -> None:
    for steps in (5, 7):
        lengths.run(steps)
    place, name = lengths.trunk.place / "step-00000004", TENSORS_NAME
    whole = place.read_bytes(name)
    place.write_bytes(name, whole[:-1] + bytes([whole[-1] ^ 1]))
    before = len(computed)
    check_the_same(lengths.run(9), lengths.alone(9))
    assert len(computed) - before == (9 - 3) + 9
    assert any("step-00000004 is damaged" in line for line in lengths.said)


def test_a_trunk_of_other_content_is_not_taken(lengths: Lengths, computed: list[float]) -> None:
    lengths.run(5)
    before = len(computed)
    lengths.run(7, replace(lengths.trunk, key="of another seed"))
    assert len(computed) - before == 7


def test_a_state_is_on_the_trunk_before_a_run_can_go_on_from_there(
    lengths: Lengths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run cut off between the two writes passes its branch point again."""
    write_json = Location.write_json

    def cut_off_there(place: Location, name: str, value: object) -> None:
        if name == STATE_NAME and "/trunk/" in place.uri:
            raise CutOffError
        write_json(place, name, value)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "write_json", cut_off_there)
        with pytest.raises(CutOffError):
            lengths.run(5)
    assert lengths.left() == []
    lengths.run(5)
    assert lengths.left() == [3]
