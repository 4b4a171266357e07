"""Predictions of labels that say enough, and of labels that do not: a hole with its reason, never an end. No Ray."""

import math
from pathlib import Path
import random
from typing import Any

import pytest

from raycalib.config import METHODS
from raycalib.evaluation.methods import OF_CHOICE_ALONE
from raycalib.records import Row
from raycalib.stages.output import StageOutput
from raycalib.stages.predict import predict
from raycalib.stages.prediction import sigmoid
from raycalib.storage import Location
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import fit_temperature
from tests.stages.combos import combo, labelled_row

PROBE = ProbeSettings(steps=4, batch_size=8, eval_every=2)
WANTED = [method for method in METHODS if method not in ("lora", *OF_CHOICE_ALONE)]
N_ROWS = {"train": 60, "val_select": 30, "val_calibrate": 60, "test": 40, "heldout_families": 20}


def rows_of(labels: dict[str, Any] | None = None, n_rows: dict[str, int] | None = None) -> list[Row]:
    """Rows whose logits and features tell something of their labels; ``labels`` names splits of one class."""
    draw = random.Random(3)
    rows = []
    for split, n in {**N_ROWS, **(n_rows or {})}.items():
        for _ in range(n):
            level = draw.gauss(0, 1.5)
            label = (labels or {}).get(split, int(draw.random() < 1 / (1 + math.exp(-level))))
            rows.append(
                labelled_row(
                    len(rows),
                    split,
                    label,
                    task=draw.choice("ab"),
                    logits=(0.0, 2 * level),
                    tuned=(-level, level),
                    feature=[level, draw.gauss(0, 1)],
                )
            )
    return rows


def predicted(tmp_path: Path, rows: list[Row]) -> StageOutput:
    place = Location(str(tmp_path))
    return predict(combo(place, rows), WANTED, PROBE, 1, place)


def by_method(output: StageOutput) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in output.rows():
        found.setdefault(row["method"], []).append(row)
    return found


def test_labels_that_say_enough_have_all_confidences_and_temperatures(tmp_path: Path) -> None:
    rows = rows_of()
    output = predicted(tmp_path, rows)
    found = by_method(output)
    assert list(found) == [*WANTED[:-2], "lora_prompt", "lora_prompt+temperature", "probe", "probe+temperature"]
    assert all(row["p_correct"] is not None for of in found.values() for row in of)
    assert output.manifest.details["holes"] == {}
    evaluated = [row for row in rows if row["split"] not in ("train", "val_select")]
    assert [row["logit"] for row in found["lora_prompt"]] == [row["tuned"][1] - row["tuned"][0] for row in evaluated]
    held = [row for row in found["lora_prompt"] if row["split"] == "val_calibrate"]
    fitted = fit_temperature([row["logit"] for row in held], [row["query_label"] for row in held])  # type: ignore[arg-type]
    record = output.manifest.details["temperatures"][0]
    assert (record["method"], record["n"], record["temperature"], record["reason"]) == (
        "lora_prompt",
        60,
        fitted.value,
        "",
    )
    plain, scaled = found["lora_prompt"][5], found["lora_prompt+temperature"][5]
    assert scaled["p_correct"] == pytest.approx(sigmoid(plain["logit"] / fitted.value), rel=1e-12)
    assert (tmp_path / "predictions").exists()
    assert len(list(tmp_path.rglob("temperature.json"))) == 2


def test_rows_of_one_id_have_the_probes_confidence_of_their_own_features(tmp_path: Path) -> None:
    rows = rows_of()
    alone = by_method(predicted(tmp_path / "alone", rows))["probe"]
    same = by_method(predicted(tmp_path / "same", [row | {"row_id": "one"} for row in rows]))["probe"]
    assert [row["logit"] for row in same] == [row["logit"] for row in alone]
    assert len({row["logit"] for row in alone}) == len(alone)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_labels_of_one_class_give_no_temperature(tmp_path: Path, label: int) -> None:
    output = predicted(tmp_path, rows_of({"val_calibrate": label}))
    reason = f"not fitted: all 60 calibration labels are {label}"
    assert output.manifest.details["holes"] == {"lora_prompt+temperature": reason, "probe+temperature": reason}
    for record in output.manifest.details["temperatures"]:
        assert (record["temperature"], record["nll_after"], record["n"]) == (None, None, 60)
        assert record["reason"] == f"all 60 calibration labels are {label}"
    found = by_method(output)
    assert {row["p_correct"] for row in found["probe+temperature"]} == {None}
    assert None not in {row["p_correct"] for row in found["probe"]}
    assert len(found["probe+temperature"]) == len(found["probe"]) == 120
    assert not list(tmp_path.rglob("temperature.json"))


def test_few_calibration_rows_give_no_temperature(tmp_path: Path) -> None:
    output = predicted(tmp_path, rows_of(n_rows={"val_calibrate": 49}))
    assert output.manifest.details["holes"]["lora_prompt+temperature"] == (
        "not fitted: 49 calibration rows, fewer than 50"
    )


def test_a_temperature_at_its_bound_is_none(tmp_path: Path) -> None:
    rows = [
        row | {"tuned": (0.0, 2.0 * row["query_label"] - 1)} if row["split"] == "val_calibrate" else row
        for row in rows_of()
    ]
    holes = predicted(tmp_path, rows).manifest.details["holes"]
    assert list(holes) == ["lora_prompt+temperature"]
    assert holes["lora_prompt+temperature"].startswith("not fitted: T ended at its lower bound (0.0025)")


@pytest.mark.parametrize(
    ("labels", "holes"),
    [
        ({"train": 0}, {"family_rate", "probe", "probe+temperature"}),
        ({"train": None}, {"family_rate", "probe", "probe+temperature"}),
        ({"val_select": 1}, {"probe", "probe+temperature"}),
        (dict.fromkeys(N_ROWS, 0), {"family_rate", "probe", "probe+temperature", "lora_prompt+temperature"}),
        (dict.fromkeys(N_ROWS), {"family_rate", "probe", "probe+temperature", "lora_prompt+temperature"}),
    ],
)
def test_what_cannot_be_fitted_is_a_hole_with_its_reason(
    tmp_path: Path, labels: dict[str, Any], holes: set[str]
) -> None:
    output = predicted(tmp_path, rows_of(labels))
    found = output.manifest.details["holes"]
    assert set(found) == holes
    assert all(reason.startswith("not fitted: ") for reason in found.values())
    for method, rows in by_method(output).items():
        assert {row["p_correct"] is None for row in rows} == {method in holes}


def test_a_loss_that_is_not_finite_costs_the_probe_alone(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    steep = ProbeSettings(steps=4, batch_size=8, eval_every=2, lr=1e38)
    output = predict(combo(place, rows_of()), WANTED, steep, 1, place)
    assert set(output.manifest.details["holes"]) == {"probe", "probe+temperature"}
    assert "not finite at probe.lr 1e+38; lower it" in output.manifest.details["holes"]["probe"]


def test_logits_and_features_that_are_not_finite_leave_their_rows_unscored(tmp_path: Path) -> None:
    rows, n = rows_of(), len(rows_of())
    rows[n - 1] |= {"logit_yes": math.inf, "tuned": (math.inf, math.inf), "feature": [math.nan, 0.0]}
    rows[n - 2] |= {"logit_yes": math.nan, "tuned": (-math.inf, 0.0), "feature": [0.0, math.inf]}
    rows[0] |= {"feature": [math.inf, 0.0]}
    found = by_method(predicted(tmp_path, rows))
    for method in ("zero_shot_query", "lora_prompt", "lora_prompt+temperature", "probe", "probe+temperature"):
        assert [row["p_correct"] is None for row in found[method]] == [False] * 118 + [True] * 2


@pytest.mark.parametrize(
    ("log_likelihood", "has_one"), [(0.0, True), (-1e-12, True), (-2000.0, True), (-math.inf, True), (math.nan, False)]
)
def test_the_surest_answer_has_a_likelihood_and_one_that_is_not_finite_has_none(
    tmp_path: Path, log_likelihood: float, has_one: bool
) -> None:
    rows = rows_of()
    rows[-1] |= {"log_likelihood": log_likelihood}
    found = by_method(predicted(tmp_path, rows))["answer_likelihood"]
    assert [row["p_correct"] is not None for row in found] == [True] * 119 + [has_one]
