"""Predictions that are written while the rows are read are those of all rows at once; few rows are held. No Ray."""

from pathlib import Path
from typing import Any
import weakref

import numpy as np
import pytest

from raycalib.records import FEATURES, LABELLED, PREDICTION, SCORED, Row
from raycalib.stages.combo import Method, SetRows
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions import evidence
from raycalib.stages.predictions.evidence import Evidence
from raycalib.stages.predictions.fit import Fitted, fit
from raycalib.stages.predictions.predict import predict
from raycalib.stages.predictions.prediction import sigmoid
from raycalib.storage import Location, Manifest, read_shard, write_shard
from raycalib.tuning import probe as probe_module
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import fit_temperature
from tests.stages.combos import COMBO, labelled_row

PROBE = ProbeSettings(steps=30, batch_size=16, eval_every=10, lr=1e-2)
BLOCK, SHARD = 16, 10
NAMES = ("probe", "lora_prompt", "zero_shot_query", "family_rate")
SPLITS = {"train": 70, "val_select": 30, "val_calibrate": 90, "test": 130}


def all_rows() -> list[Row]:
    """Of every 11th row there are no features, of every 13th no logits, of every 17th no label."""
    draw, rows = np.random.default_rng(5), list[Row]()
    for split, n in SPLITS.items():
        for _ in range(n):
            number = len(rows)
            level = float(draw.normal(number % 2, 1.5))
            label = int(draw.random() < sigmoid(level))
            rows.append(
                labelled_row(
                    number,
                    split,
                    None if number % 17 == 0 else label,
                    task="ab"[number % 2],
                    logits=(None, None) if number % 13 == 0 else (0.0, level),
                    tuned=(-level, level / 3),
                    feature=None if number % 11 == 0 else [level, float(draw.normal()), 0.5],
                )
            )
    return rows


ROWS = all_rows()


def of_split(split: str) -> list[Row]:
    return [row for row in ROWS if row["split"] == split]


def stage(place: Location, name: str, rows: list[Row], schema: Any) -> StageOutput:
    kept = [{column: row[column] for column in schema.names} for row in rows]
    starts = range(0, len(rows), SHARD)
    shards = tuple(
        write_shard(place / name, index, kept[start : start + SHARD], schema) for index, start in enumerate(starts)
    )
    manifest = Manifest(stage=name, key=f"{name}-{place.uri}", config={}, shards=shards, counts={"out": len(rows)})
    return StageOutput(place=place / name, manifest=manifest, was_done=False)


def set_rows(place: Location, rows: list[Row]) -> SetRows:
    scored = [row | {"logit_no": row["tuned"][0], "logit_yes": row["tuned"][1]} for row in rows]
    return SetRows(
        labelled=stage(place, "labelled", rows, LABELLED),
        features=stage(place, "features", rows, FEATURES),
        scored={"lora_prompt": stage(place, "scored", scored, SCORED)},
    )


def evaluated(place: Location, names: tuple[str, ...] = NAMES) -> tuple[Fitted, StageOutput]:
    methods = [Method(name=name) for name in names]
    training = set_rows(place / "training", [row for row in ROWS if row["split"] != "test"])
    scored = stage(place / "training", "scored-again", of_split("val_calibrate"), SCORED)
    tuned = [row | {"logit_no": row["tuned"][0], "logit_yes": row["tuned"][1]} for row in of_split("val_calibrate")]
    scored = stage(place / "training", "scored-again", tuned, SCORED)
    calibration = SetRows(labelled=training.labelled, features=training.features, scored={"lora_prompt": scored})
    fitted = fit(COMBO, methods, calibration, training, PROBE, 1, place)
    return fitted, predict(COMBO, "test", methods, set_rows(place / "test", of_split("test")), fitted, place)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "BLOCK_ROWS", BLOCK)
    monkeypatch.setattr(probe_module, "MARGIN_ROWS", BLOCK)


def expected_logits(fitted: Fitted, name: str, rows: list[Row]) -> list[float | None]:
    """Of all rows at once."""
    found: list[float | None] = [None] * len(rows)
    if name == "probe":
        usable = [place for place, row in enumerate(rows) if row["feature"] is not None]
        assert fitted.training.probe is not None
        features = np.array([rows[place]["feature"] for place in usable], dtype=np.float32)
        for place, margin in zip(usable, fitted.training.probe.margin(features), strict=True):
            found[place] = float(margin)
        return found
    if name == "family_rate":
        assert fitted.training.rates is not None
        rates = fitted.training.rates.rates
        return [float(np.log(rates[row["task"]]) - np.log1p(-rates[row["task"]])) for row in rows]
    columns = [row["tuned"] if name == "lora_prompt" else (row["logit_no"], row["logit_yes"]) for row in rows]
    return [None if no is None else yes - no for no, yes in columns]


@pytest.mark.usefixtures("small_blocks")
def test_predictions_of_many_blocks_are_those_of_all_rows_at_once(tmp_path: Path) -> None:
    fitted, output = evaluated(Location(str(tmp_path)))
    rows = of_split("test")
    assert len(rows) > 7 * BLOCK
    assert output.manifest.counts == {"in": 130, "out": 8 * 130}
    assert output.manifest.details["methods"] == [f"{name}{end}" for name in NAMES for end in ("", "+temperature")]
    kept = [name for name in PREDICTION.names if name not in ("method", "logit", "p_correct")]
    for number, shard in enumerate(output.shards):
        name, is_tempered = NAMES[number // 2], number % 2 == 1
        found = read_shard(output.place, shard)
        assert [{column: row[column] for column in kept} for row in found] == [
            {column: row[column] for column in kept} for row in rows
        ]
        temperature = fitted.temperatures[name].fitted
        assert temperature is not None
        logits = [
            value if value is None or not is_tempered else value / temperature.value
            for value in expected_logits(fitted, name, rows)
        ]
        assert [row["logit"] for row in found] == logits
        assert [row["p_correct"] for row in found] == [None if one is None else sigmoid(one) for one in logits]
        assert {row["method"] for row in found} == {output.manifest.details["methods"][number]}


@pytest.mark.usefixtures("small_blocks")
def test_temperatures_are_those_of_all_calibration_rows_at_once(tmp_path: Path) -> None:
    fitted, _ = evaluated(Location(str(tmp_path)))
    rows = of_split("val_calibrate")
    for name in NAMES:
        logits = expected_logits(fitted, name, rows)
        held = [
            (logit, row["query_label"])
            for logit, row in zip(logits, rows, strict=True)
            if logit is not None and row["query_label"] is not None
        ]
        margins, labels = (np.array(part) for part in zip(*held, strict=True))
        assert fitted.temperatures[name].fitted == fit_temperature(margins, labels)
    assert fitted.training.rates is not None
    right = {task: [row["query_label"] for row in of_split("train") if row["task"] == task] for task in "ab"}
    scored = {task: [label for label in labels if label is not None] for task, labels in right.items()}
    assert fitted.training.rates.rates == {
        task: (sum(labels) + 1) / (len(labels) + 2) for task, labels in scored.items()
    }


@pytest.mark.usefixtures("small_blocks")
def test_no_more_than_a_few_blocks_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most, made = weakref.WeakSet[Evidence](), [0], [0]
    plain = evidence.Evidence.__init__

    def counted(block: Evidence, *values: Any) -> None:
        plain(block, *values)
        alive.add(block)
        made[0] += 1
        most[0] = max(most[0], sum(len(each.table) for each in alive))

    monkeypatch.setattr(evidence.Evidence, "__init__", counted)
    monkeypatch.setattr(evidence.Evidence, "__hash__", object.__hash__)
    evaluated(Location(str(tmp_path)))
    assert made[0] > 100
    assert most[0] <= 4 * (BLOCK + SHARD), "of 320 rows"


@pytest.mark.parametrize(("names", "n"), [(("zero_shot_query", "family_rate"), 0), (("probe", "zero_shot_query"), 1)])
def test_hidden_states_are_read_where_a_method_looks_at_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], n: int
) -> None:
    """Of the test set once for all methods, and of the shards that hold a split that is wanted."""
    read, plain = list[str](), evidence.read_table

    def noted(place: Location, name: str, columns: list[str], *rest: Any) -> Any:
        if "feature" in columns:
            read.append(f"{place.uri}/{name}")
        return plain(place, name, columns, *rest)

    monkeypatch.setattr(evidence, "read_table", noted)
    evaluated(Location(str(tmp_path)), names)
    assert len([name for name in read if "/test/" in name]) == 13 * n
    assert len([name for name in read if "/training/" in name]) == 19 * n, "10 to fit on, 9 to calibrate on"
