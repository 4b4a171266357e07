"""Rows for which the base model has no finite states, and passes that run out of memory, in tuning."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from peft.tuners.lora import LoraLayer
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import LossNotFiniteError
from raycalib.storage import Location
from raycalib.tuning import left_out
from raycalib.tuning.batches import TuningRow
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.world import World
from tests.tuning.distributed_worker import SETTINGS, toy_rows

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
BROKEN = 20
"""A token that no toy row has."""


def tuner_of(
    tiny: TinyLlama, train: list[TuningRow], val: list[TuningRow], place: Path, said: list[str], **more: Any
) -> Tuner:
    model = copy.deepcopy(tiny[0])
    with torch.no_grad():
        model.model.embed_tokens.weight[BROKEN] = torch.nan
    return Tuner(
        model,
        tiny[1],
        TuningData(train=train, val=val),
        replace(SETTINGS, **{"steps": 4, "eval_every": 2} | more),
        seed=1,
        checkpoints=Location(str(place)),
        key="k",
        world=World(),
        hooks=Hooks(say=said.append),
    )


def broken(row: TuningRow) -> TuningRow:
    """The same row with a word in its question that the model has no numbers for."""
    ids, kl_ids = list(row.query_ids), list(row.kl_ids)
    ids[2] = kl_ids[2] = BROKEN
    return replace(row, row_id="broken", query_ids=tuple(ids), kl_ids=tuple(kl_ids))


def test_a_training_row_without_finite_states_is_left_out_and_said(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    rows = toy_rows(tiny_llama[1])
    assert all(BROKEN not in row.query_ids for row in rows)
    said: list[str] = []
    tuner = tuner_of(tiny_llama, [broken(rows[0]), *rows[1:10]], rows[10:], tmp_path, said)
    state = tuner.run()
    assert (state.step, tuner.left_out) == (4, frozenset({0}))
    assert any("training rows have states" in line and "broken" in line for line in said)
    assert all(bool(torch.isfinite(part).all()) for part in tuner.engine.weights().values())


def broken_query(row: TuningRow) -> TuningRow:
    """The same row with such a word behind its question, which the text of the right answer does not have."""
    shared = sum(one == other for one, other in zip(row.query_ids, row.kl_ids, strict=False))
    ids = list(row.query_ids)
    ids[shared + 1] = BROKEN
    return replace(row, row_id="broken", query_ids=tuple(ids))


@pytest.mark.parametrize(
    "more", [{}, {"kl_decay": 0.0}, {"method": "lora"}, {"method": "probe"}], ids=["both", "no kl", "lora", "probe"]
)
def test_a_training_row_without_finite_query_logits_is_left_out_and_said(
    tiny_llama: TinyLlama, tmp_path: Path, more: dict[str, Any]
) -> None:
    """Its states on the text of the right answer are finite, or not looked at."""
    rows = toy_rows(tiny_llama[1])
    said: list[str] = []
    train = [broken_query(rows[0]), *rows[1:10]]
    tuner = tuner_of(tiny_llama, train, rows[10:], tmp_path, said, **more)
    state = tuner.run()
    assert (state.step, tuner.left_out) == (4, frozenset({0}))
    assert sum("training rows have states or query logits" in line and "broken" in line for line in said) == 1
    assert all(bool(torch.isfinite(part).all()) for part in tuner.engine.weights().values())


def test_what_the_base_model_has_no_logits_for_is_looked_at_once_per_dataset(
    tiny_llama: TinyLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = toy_rows(tiny_llama[1])
    train = [broken_query(rows[0]), *rows[1:10]]
    first = tuner_of(tiny_llama, train, rows[10:], tmp_path, [])

    def not_again(*arguments: object) -> None:
        raise AssertionError("the rows are read again")

    monkeypatch.setattr(left_out, "read_margins", not_again)
    assert tuner_of(tiny_llama, train, rows[10:], tmp_path, []).left_out == first.left_out == frozenset({0})
    with pytest.raises(AssertionError, match="read again"):
        tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path, [])


def test_runs_of_other_steps_seeds_and_fewer_rows_do_not_look_again(
    tiny_llama: TinyLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them reads other rows of the same chunk."""
    rows = toy_rows(tiny_llama[1])
    tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path, [], steps=1, global_batch_size=2)

    def not_again(*arguments: object) -> None:
        raise AssertionError("the rows are read again")

    monkeypatch.setattr(left_out, "read_margins", not_again)
    assert tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path, [], steps=5).left_out == frozenset()


def test_training_rows_of_which_most_have_none_end_the_run_before_it_starts(
    tiny_llama: TinyLlama, tmp_path: Path
) -> None:
    rows = toy_rows(tiny_llama[1])
    train = [rows[0], *map(broken, rows[1:10])]
    with pytest.raises(LossNotFiniteError, match=r"training rows have .*use --dtype float32"):
        tuner_of(tiny_llama, train, rows[10:], tmp_path, [])


def test_a_validation_row_without_finite_logits_is_left_out_of_all_steps(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    rows = toy_rows(tiny_llama[1])
    said: list[str] = []
    whole = tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path / "whole", []).run()
    state = tuner_of(tiny_llama, rows[:10], [*rows[10:], broken(rows[0])], tmp_path / "broken", said).run()
    assert state.best_nll == pytest.approx(whole.best_nll, rel=1e-5)
    assert sum("val_select rows are left out" in line for line in said) == 1


def test_passes_shrink_where_memory_runs_out_and_come_to_the_same(
    tiny_llama: TinyLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = toy_rows(tiny_llama[1])
    whole = tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path / "whole", [])
    read_states = CalibrationObjective.read_states

    def small(self: CalibrationObjective, batch: object) -> torch.Tensor:
        if batch.n_rows > 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read_states(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(CalibrationObjective, "read_states", small)
    parts = tuner_of(tiny_llama, rows[:10], rows[10:], tmp_path / "parts", [])
    torch.testing.assert_close(parts.reference.take(range(10)), whole.reference.take(range(10)))
    margins = parts.validation.margins()
    assert parts.validation.budget is not None
    assert parts.validation.budget.n_halved > 0
    monkeypatch.undo()
    np.testing.assert_allclose(margins, whole.validation.margins(), atol=1e-5)


def test_a_run_without_an_evaluation_of_finite_log_odds_ends_with_the_rows(
    tiny_llama: TinyLlama, tmp_path: Path
) -> None:
    """There are no best weights then: an adapter without tensors would be written."""
    rows = toy_rows(tiny_llama[1])
    with pytest.raises(LossNotFiniteError) as raised:
        tuner_of(tiny_llama, rows[:10], [broken(row) for row in rows[10:14]], tmp_path, []).run()
    assert str(raised.value) == (
        "tuning: no step can be chosen, at every evaluation the log-odds of val_select are not finite: in the base "
        "model itself those of 4 of 4 val_select rows (broken, broken, broken, …); use --dtype float32, or look at "
        "these rows"
    )


def test_log_odds_that_tuning_made_infinite_are_not_laid_to_the_base_model(
    tiny_llama: TinyLlama, tmp_path: Path
) -> None:
    rows = toy_rows(tiny_llama[1])
    tuner = tuner_of(tiny_llama, rows[:10], rows[10:14], tmp_path, [])
    margins = tuner.validation.margins

    def one_infinite() -> np.ndarray:
        found = margins()
        found[1] = found[1] if not any(layer.scaling["default"] for layer in adapted) else np.inf
        return found

    adapted = [module for module in tuner.objective.modules() if isinstance(module, LoraLayer)]
    tuner.validation.margins = one_infinite  # type: ignore[method-assign]
    with pytest.raises(LossNotFiniteError) as raised:
        tuner.run()
    assert f"after tuning those of 1 of 4 val_select rows ({rows[11].row_id}); lower tuning.lr" in str(raised.value)
