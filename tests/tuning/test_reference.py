"""The base model's states on disk, and what they are exact to."""

from collections.abc import Sequence
import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import DataError
from raycalib.lm.adapters import attach_lora
from raycalib.lm.adapters_off import adapters_off
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location
from raycalib.tuning import row_chunks
from raycalib.tuning.batches import TuningRow, collate
from raycalib.tuning.engines import TorchEngine
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.reference import ReferenceStates
from raycalib.tuning.reference_pass import begun_elsewhere, compute_missing
from raycalib.tuning.row_chunks import drawing_order
from raycalib.tuning.settings import KL_KINDS, KlKind, TuningSettings
from raycalib.tuning.world import World
from tests.tuning.distributed_worker import toy_rows

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
LORA = LoraSettings(rank=4, dropout=0.1)
BF16_LOSS_TOLERANCE = 0.03
"""Of a divergence whose reference is stored in bfloat16, as a share of it, on this model."""


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_chunks, "MOST_ROWS", 3)
    monkeypatch.setattr(row_chunks, "MEAN_ROWS", 2**31)  # no row ends a chunk by itself


@pytest.fixture(scope="module")
def rows(tiny_llama: TinyLlama) -> list[TuningRow]:
    return toy_rows(tiny_llama[1])[:8]


def adapted(tiny: TinyLlama, kind: KlKind = "jsd") -> CalibrationObjective:
    """An objective whose adapter does change something."""
    model = attach_lora(copy.deepcopy(tiny[0]), LORA, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return CalibrationObjective(model.get_base_model(), query_label_tokens(tiny[1]), 1.0, kind)


def stored(
    tiny: TinyLlama, rows: Sequence[TuningRow], place: Path, dtype: torch.dtype = torch.float32
) -> ReferenceStates:
    objective = adapted(tiny)
    reference = ReferenceStates(Location(str(place)), "model", rows, tiny[0].config.hidden_size, dtype)
    compute_missing(reference, range(len(rows)), TorchEngine(objective, TuningSettings()), objective, World())
    return reference


def base_states(tiny: TinyLlama, row: TuningRow) -> Tensor:
    """The plain way: the KL text alone through the model that was never adapted."""
    with torch.no_grad():
        states = tiny[0].model(input_ids=torch.tensor([row.kl_ids]), use_cache=False).last_hidden_state[0]
    return states[len(row.kl_ids) - row.n_target - 1 : len(row.kl_ids) - 1]


def test_they_are_the_base_models(tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path) -> None:
    reference = stored(tiny_llama, rows, tmp_path)
    assert len(reference.names) == 3
    assert reference.missing() == []
    chosen = [7, 0, 3]
    expected = torch.cat([base_states(tiny_llama, rows[member]) for member in chosen])
    torch.testing.assert_close(reference.take(chosen), expected, rtol=1e-5, atol=1e-5)
    on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert 0 < on_disk - reference.n_bytes < 3 * 200  # headers


@pytest.mark.parametrize("kind", KL_KINDS)
def test_stored_and_live_references_give_the_same_loss(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path, kind: KlKind
) -> None:
    objective = adapted(tiny_llama, kind).eval()
    batch = collate(rows)
    with adapters_off(objective), torch.no_grad():
        live = objective(batch, wanted="kl_states")
    exact = stored(tiny_llama, rows, tmp_path / "float32")
    halved = stored(tiny_llama, rows, tmp_path / "bfloat16", torch.bfloat16)
    by_live, by_exact, by_halved = (
        objective(batch, states) for states in (live, exact.take(range(len(rows))), halved.take(range(len(rows))))
    )
    assert by_live.divergence.item() > 0.01
    torch.testing.assert_close(by_exact.total, by_live.total, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_exact.divergence, by_live.divergence, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_halved.divergence, by_live.divergence, rtol=BF16_LOSS_TOLERANCE, atol=0)
    assert by_halved.divergence.item() != by_live.divergence.item()
    assert torch.equal(by_halved.query, by_live.query)
    assert halved.n_bytes * 2 == exact.n_bytes


def test_files_are_shared_by_runs_of_the_same_rows_and_model_alone(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path
) -> None:
    first = stored(tiny_llama, rows, tmp_path)
    written = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    stored(tiny_llama, rows, tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written
    size, place = tiny_llama[0].config.hidden_size, Location(str(tmp_path))
    for model, of_rows, dtype in (
        ("other", rows, torch.float32),
        ("model", rows, torch.bfloat16),
        ("model", [replace(row, n_target=row.n_target - 1) for row in rows], torch.float32),
    ):
        assert set(ReferenceStates(place, model, of_rows, size, dtype).names).isdisjoint(first.names)
    turned = ReferenceStates(place, "model", rows[::-1], size, torch.float32)
    assert turned.missing() == []
    assert torch.equal(turned.take(range(8)), first.take(range(7, -1, -1)))


def test_runs_on_fewer_rows_share_the_files_that_are_whole_in_both(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path
) -> None:
    first = stored(tiny_llama, rows, tmp_path)
    drawn = drawing_order([row.row_id for row in rows])[:7]
    fewer = ReferenceStates(
        Location(str(tmp_path)), "model", [rows[place] for place in sorted(drawn)], first.hidden_size, torch.float32
    )
    assert [name in first.names for name in fewer.names] == [True, True, False]


def test_runs_that_begin_side_by_side_take_what_the_other_has_computed(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path
) -> None:
    """The second computes its files while the first one looks away, between two of its own."""
    objective = adapted(tiny_llama)
    engine, place = TorchEngine(objective, TuningSettings()), Location(str(tmp_path))
    written = list[str]()

    class Spied(ReferenceStates):
        def write(self, number: int, states: Sequence[Tensor]) -> None:
            super().write(number, states)
            written.append(self.names[number])
            if len(written) == 1:
                compute_missing(self, range(len(rows)), engine, objective, World(), run="second")

    reference = Spied(place, "model", rows, tiny_llama[0].config.hidden_size, torch.float32)
    compute_missing(reference, range(len(rows)), engine, objective, World(), run="first")
    assert sorted(written) == sorted(reference.names)


def test_each_run_begins_elsewhere_and_reaches_all() -> None:
    turns = [begun_elsewhere(range(5), f"run {number}") for number in range(40)]
    assert {turn[0] for turn in turns} == set(range(5))
    assert all(sorted(turn) == list(range(5)) for turn in turns)
    assert begun_elsewhere([2, 3], "") == [2, 3]
    assert begun_elsewhere([], "run") == []


def test_what_a_kill_left_out_is_computed_and_nothing_else(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path
) -> None:
    reference = stored(tiny_llama, rows, tmp_path)
    expected = reference.take(range(8))
    (tmp_path / reference.names[1]).unlink()
    before = (tmp_path / reference.names[0]).stat().st_mtime_ns
    again = stored(tiny_llama, rows, tmp_path)
    assert (tmp_path / reference.names[0]).stat().st_mtime_ns == before
    assert torch.equal(again.take(range(8)), expected)


def test_only_files_with_needed_rows_are_computed(tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path) -> None:
    objective = adapted(tiny_llama)
    reference = ReferenceStates(Location(str(tmp_path)), "model", rows, 32, torch.float32)
    said: list[str] = []
    needed = reference.chunks[1][:1]
    compute_missing(reference, needed, TorchEngine(objective, TuningSettings()), objective, World(), said.append)
    assert reference.missing() == [0, 2]
    assert said[0].startswith("reference states: 1 of 3 files to compute, ")


def test_a_file_that_is_not_what_was_written_is_named(
    tiny_llama: TinyLlama, rows: list[TuningRow], tmp_path: Path
) -> None:
    reference = stored(tiny_llama, rows, tmp_path)
    other = ReferenceStates(Location(str(tmp_path)), "model", rows, 64, torch.float32)
    with pytest.raises(DataError, match=r"shape .* expected .*64.*; delete it and run again"):
        other.take([0])
    (tmp_path / reference.names[2]).write_bytes(b"nothing")
    with pytest.raises(DataError, match=f"{reference.names[2]} cannot be read"):
        reference.take(reference.chunks[2])


def test_the_adapter_is_back_afterwards(tiny_llama: TinyLlama, rows: list[TuningRow]) -> None:
    objective = adapted(tiny_llama).eval()
    batch = collate(rows)
    with torch.no_grad():
        before = objective(batch, wanted="query_logits")
        with adapters_off(objective):
            assert not torch.equal(objective(batch, wanted="query_logits"), before)
        with pytest.raises(ValueError, match="stop"), adapters_off(objective):
            raise ValueError("stop")
        assert torch.equal(objective(batch, wanted="query_logits"), before)
