from collections.abc import Callable
import json
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


def flipped(content: bytes) -> bytes:
    """One bit of the last value."""
    return content[:-1] + bytes([content[-1] ^ 1])


def with_other_step(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"best_step": 5}).encode()


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "tensors cut off": ("tensors.safetensors", lambda content: content[: len(content) // 2]),
    "tensors empty": ("tensors.safetensors", lambda content: b""),
    "a bit of the tensors": ("tensors.safetensors", flipped),
    "JSON cut off": ("state.json", lambda content: content[:20]),
    "JSON empty": ("state.json", lambda content: b""),
    "another value": ("state.json", with_other_step),
    "a list": ("state.json", lambda content: b"[]"),
    "without a key": ("state.json", lambda content: b"{}"),
}


@pytest.mark.parametrize("damage", [*DAMAGE, "no tensors"])
def test_the_one_before_a_damaged_checkpoint_is_taken_and_it_is_said(place: Location, damage: str) -> None:
    save_checkpoint(place, state(4), "key")
    save_checkpoint(place, state(8), "key")
    newest = place / "step-00000008"
    if damage == "no tensors":
        (newest / "tensors.safetensors").remove()
    else:
        name, change = DAMAGE[damage]
        newest.write_bytes(name, change(newest.read_bytes(name)))
    said: list[str] = []
    check_same(load_newest(place, "key", said.append), state(4))
    (line,) = said
    assert line.startswith(f"the checkpoint {newest.uri} is damaged (")
    assert line.endswith("): it is passed over")
    save_checkpoint(place, state(8), "key")  # the run gets there again
    check_same(load_newest(place, "key", said.append), state(8))
    assert len(said) == 1


def test_where_all_are_damaged_tuning_starts_from_the_beginning_and_says_so(place: Location) -> None:
    for step in (4, 8):
        save_checkpoint(place, state(step), "key")
        (place / f"step-{step:08d}").write_bytes("tensors.safetensors", b"")
    said: list[str] = []
    assert load_newest(place, "key", said.append) is None
    assert len(said) == 3
    assert said[-1] == "no checkpoint before it is whole: tuning starts from the beginning"


def test_a_checkpoint_of_an_earlier_version_has_no_hash_and_counts(place: Location) -> None:
    save_checkpoint(place, state(4), "key")
    values = (place / "step-00000004").read_json("state.json")
    del values["sha256"]
    (place / "step-00000004").write_json("state.json", values)
    check_same(load_newest(place, "key"), state(4))
