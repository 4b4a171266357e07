"""Rows of a run before it: counted where they are near, else said by settings, known of a dataset, or assumed."""

from collections import Counter
from dataclasses import replace
import json
from pathlib import Path

import pytest

from raycalib.config import PipelineConfig
from raycalib.plans.rows import planned_rows
from raycalib.recipes import recipe
from raycalib.sources import SourceSettings, draw_questions
from raycalib.tuning.plan_settings import PlanSettings


def test_embedded_facts_are_counted_as_they_are_drawn() -> None:
    config = recipe("demo")
    drawn = Counter(row["split"] for row in draw_questions(config.source, ["oe"], config.seed) if "split" in row)
    rows = planned_rows(config, "oe")
    assert rows.is_counted
    assert (rows.train, rows.val_select, rows.val_calibrate) == tuple(
        drawn[split] for split in ("train", "val_select", "val_calibrate")
    )
    assert rows.evaluated == {name: drawn[name] for name in ("test", "heldout_families")}
    assert rows.learned == rows.train + rows.val_select + rows.val_calibrate
    assert rows.n_evaluated == sum(rows.evaluated.values())


def test_limits_hold_for_what_is_counted_and_what_is_assumed() -> None:
    smoke = planned_rows(recipe("smoke"), "choice")
    assert (smoke.train, smoke.val_select, smoke.val_calibrate) == (192, 64, 64)
    assert smoke.evaluated == {"test": 96, "heldout_families": 64}
    far = PipelineConfig(source=SourceSettings(name="arc:500", limits={"train": 300, "test": 100}))
    rows = planned_rows(far, "oe")
    assert (rows.train, rows.val_select, rows.val_calibrate, rows.is_counted) == (300, 500, 500, False)
    assert rows.evaluated == {"test": 100}


def test_the_papers_rows_are_known_or_assumed() -> None:
    rows = planned_rows(recipe("paper"), "oe")
    assert (rows.train, rows.val_select, rows.val_calibrate) == (20_000, 1_000, 1_000)
    assert rows.evaluated == {"heldout_families": 14_042}
    planning = PlanSettings(rows=7, val_rows=6, calibrate_rows=5, test_rows=4)
    more = replace(recipe("paper"), planning=planning, evaluation_sets=("mmlu_pro:300", "arc", "gsm8k"))
    rows = planned_rows(more, "oe")
    assert (rows.train, rows.val_select, rows.val_calibrate) == (7, 6, 5)
    assert rows.evaluated == {"heldout_families": 14_042, "mmlu_pro": 300, "arc": 4, "gsm8k": 1_319}


def test_a_set_without_words_for_a_style_has_no_rows_in_it() -> None:
    config = replace(recipe("paper"), evaluation_sets=("gsm8k",))
    assert "gsm8k" in planned_rows(config, "oe").evaluated
    assert "gsm8k" not in planned_rows(config, "choice").evaluated


def test_a_file_of_ones_own_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [{"question": f"What is {i} plus one?", "answer": str(i + 1)} for i in range(200)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows = planned_rows(PipelineConfig(source=SourceSettings(name=f"file:{path}"), styles=("oe",)), "oe")
    assert rows.is_counted
    assert rows.learned + rows.n_evaluated == 200


def test_answers_that_come_in_have_no_sets_of_a_dataset() -> None:
    config = PipelineConfig(labelled="somewhere.jsonl", models=("llama2:7b",))
    rows = planned_rows(config, "oe")
    assert (rows.evaluated, rows.is_counted, rows.train) == ({}, False, 20_000)


@pytest.mark.parametrize("name", ["rows", "test_rows", "calibrate_rows", "eval_tokens_per_row", "gpus"])
def test_what_is_assumed_is_at_least_one(name: str) -> None:
    with pytest.raises(Exception, match=rf"planning.{name}: 0 is not allowed; at least 1"):
        PlanSettings(**{name: 0})
