"""Datasets of the hub are asked for, each once, and none is fetched."""

from pathlib import Path

import pytest

from raycalib.config import PipelineConfig
from raycalib.doctor import data_check as module
from raycalib.doctor.data_check import data_check
from raycalib.errors import DataError
from raycalib.recipes import recipe
from raycalib.sources import SourceSettings


def test_each_dataset_of_the_paper_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    monkeypatch.setattr(module, "hub_splits", lambda name, hub_id, config: asked.append(hub_id))
    check = data_check(recipe("paper"))
    assert check.is_well
    assert "cais/mmlu" in asked
    assert len(asked) == len(set(asked)) > 10
    assert check.found == f"all_20k_uniform+eval:mmlu is within reach, {len(asked)} dataset(s) of the hub"


def test_a_dataset_that_is_not_within_reach_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, hub_id: str, config: str | None) -> list[str]:
        raise DataError(f"source {name}: {hub_id} cannot be loaded; check the network")

    monkeypatch.setattr(module, "hub_splits", fail)
    check = data_check(PipelineConfig(source=SourceSettings(name="arc"), evaluation_sets=("mmlu:anatomy",)))
    assert not check.is_well
    assert check.line() == "  FAIL  data        source arc: allenai/ai2_arc cannot be loaded; check the network"


def test_what_is_embedded_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hub_splits", lambda *_: pytest.fail("the hub is asked"))
    assert data_check(recipe("demo")).found == "facts is within reach"


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    check = data_check(PipelineConfig(source=SourceSettings(name=f"file:{tmp_path / 'gone.jsonl'}")))
    assert not check.is_well
    assert "gone.jsonl" in check.found
