from pathlib import Path
from uuid import uuid4

import pytest
import torch

from raycalib.storage import Location
from raycalib.tuning.checkpoint import TrainingState, complete_checkpoints, load_newest, save_checkpoint


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(f"memory://{uuid4().hex}/c" if request.param == "memory" else str(tmp_path / "checkpoints"))


def state(step: int, **changes: object) -> TrainingState:
    generator = torch.Generator().manual_seed(step)
    values = {
        "step": step,
        "best_step": step - 1,
        "best_nll": 0.1 * step,
        "history": ({"step": 1.0, "val_nll": 0.30000000000000004, "val_auroc": None},),
        "tensors": {
            "weight/a.b": torch.randn(3, 2, generator=generator),
            "exp_avg/a.b": torch.randn(3, 2, generator=generator),
            "best/scalar": torch.tensor(1.5),
        },
    }
    return TrainingState(**(values | changes))


def check_same(left: TrainingState | None, right: TrainingState) -> None:
    assert left is not None
    for name in ("step", "best_step", "best_nll", "history"):
        assert getattr(left, name) == getattr(right, name)
    assert left.tensors.keys() == right.tensors.keys()
    assert all(torch.equal(left.tensors[name], right.tensors[name]) for name in right.tensors)


def test_round_trip(place: Location) -> None:
    save_checkpoint(place, state(7), "key")
    check_same(load_newest(place, "key"), state(7))


def test_before_the_first_evaluation(place: Location) -> None:
    early = state(1, best_step=0, best_nll=None, history=())
    save_checkpoint(place, early, "key")
    check_same(load_newest(place, "key"), early)


def test_tensors_are_kept_in_single_precision_and_without_gradients(place: Location) -> None:
    weight = torch.randn(4, 3, dtype=torch.bfloat16).t().requires_grad_()
    save_checkpoint(place, state(1, tensors={"weight/a": weight}), "key")
    loaded = load_newest(place, "key")
    assert loaded is not None
    assert loaded.tensors["weight/a"].dtype == torch.float32
    assert torch.equal(loaded.tensors["weight/a"], weight.detach().float())


def test_none_where_nothing_is(place: Location) -> None:
    assert load_newest(place, "key") is None


def test_the_newest_counts_and_two_are_kept(place: Location) -> None:
    for step in (4, 8, 12, 100_000_00):
        save_checkpoint(place, state(step), "key")
    assert complete_checkpoints(place) == [(12, "step-00000012"), (10_000_000, "step-10000000")]
    assert place.names() == ["step-00000012", "step-10000000"]
    check_same(load_newest(place, "key"), state(10_000_000))


def test_an_incomplete_checkpoint_is_ignored(place: Location) -> None:
    save_checkpoint(place, state(4), "key")
    save_checkpoint(place, state(8), "key")
    half = place / "step-00000012"
    half.write_bytes("tensors.safetensors", (place / "step-00000008").read_bytes("tensors.safetensors"))
    check_same(load_newest(place, "key"), state(8))


def test_the_mark_of_completion_is_written_last(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write_bytes = Location.write_bytes

    def note(self: Location, name: str, content: bytes) -> None:
        written.append(name)
        write_bytes(self, name, content)

    monkeypatch.setattr(Location, "write_bytes", note)
    save_checkpoint(place, state(4), "key")
    assert written == ["tensors.safetensors", "state.json"]


def test_other_names_are_ignored(place: Location) -> None:
    (place / "step-4").write_bytes("state.json", b"{}")
    (place / "old").write_bytes("state.json", b"{}")
    assert complete_checkpoints(place) == []
    assert load_newest(place, "key") is None


def test_a_checkpoint_of_another_configuration_is_ignored(place: Location) -> None:
    save_checkpoint(place, state(4), "key")
    save_checkpoint(place, state(8), "other")
    check_same(load_newest(place, "key"), state(4))
    check_same(load_newest(place, "other"), state(8))
    assert load_newest(place, "third") is None


def test_writing_the_same_step_again_replaces_it(place: Location) -> None:
    save_checkpoint(place, state(4), "key")
    save_checkpoint(place, state(4, best_nll=9.0), "key")
    check_same(load_newest(place, "key"), state(4, best_nll=9.0))
