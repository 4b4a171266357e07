"""``combined`` and Platt scaling among the methods: what is fitted on which rows, and what is predicted. No Ray."""

from dataclasses import replace
from pathlib import Path
import re
from typing import Any

import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import auroc
from raycalib.records import Row
from raycalib.stages.combo import Method
from raycalib.stages.given.temperatures import read_temperature
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.fit import Fitted
from raycalib.stages.predictions.predict import predict
from raycalib.storage import Location, read_shard
from raycalib.tuning.combined import fit_combined, fitting_half
from raycalib.tuning.platt import Platt, fit_platt
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import fit_temperature
from tests.stages.combos import COMBO, evaluated, labelled_row, set_rows

PROBE = ProbeSettings(steps=60, batch_size=16, eval_every=20, lr=1e-2)
NAMES = ("zero_shot_query", "lora_prompt", "probe", "combined")
N_ROWS = {"train": 200, "val_select": 60, "val_calibrate": 300, "test": 200, "heldout_families": 40}


def rows_of(n_rows: dict[str, int] = N_ROWS, rate: float = 0.5) -> list[Row]:
    """The adapter knows one half of what makes an answer right, and the probe the other; some rows lack something."""
    draw, found = np.random.default_rng(2), list[Row]()
    for split, n in n_rows.items():
        for _ in range(n):
            number, (known, hidden) = len(found), draw.normal(size=2)
            p_right = 1 / (1 + np.exp(-(2 * known + 2 * hidden + np.log(rate / (1 - rate)))))
            row = labelled_row(
                number,
                split,
                None if number % 19 == 0 else int(draw.random() < p_right),
                tuned=(None, None) if number % 23 == 0 else (0.0, float(3 * known)),
                feature=None if number % 29 == 0 else [float(hidden), float(draw.normal())],
            )
            found.append(row | {"group": f"g{number // 2}"})
    return found


def by_method(fitted: Fitted, output: StageOutput) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Predictions on the calibration rows and on a set."""
    names = [method["name"] for method in fitted.output.manifest.config["methods"]]
    calibration = {
        name: read_shard(fitted.output.place, shard) for name, shard in zip(names, fitted.output.shards, strict=True)
    }
    said = {
        name: read_shard(output.place, shard)
        for name, shard in zip(output.manifest.details["methods"], output.shards, strict=True)
    }
    return calibration, said


def logits(rows: list[Row]) -> np.ndarray:
    return np.array([np.nan if row["logit"] is None else row["logit"] for row in rows])


@pytest.mark.parametrize("names", [NAMES, ("combined", *NAMES[:-1])], ids=["last", "first"])
def test_weights_are_fitted_on_one_half_and_everything_else_on_the_other(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    fitted, outputs = evaluated(Location(str(tmp_path)), rows_of(), names, PROBE)
    calibration, said = by_method(fitted, outputs["test"])
    mine = calibration["combined"]
    assert [row["row_id"] for row in mine] == [row["row_id"] for row in calibration["probe"]]
    fits = fitting_half([row["group"] for row in mine])
    signals = np.column_stack([logits(calibration[name]) for name in ("lora_prompt", "probe")])
    labels = np.array([np.nan if row["query_label"] is None else row["query_label"] for row in mine])
    usable = fits & np.isfinite(signals).all(axis=1) & np.isfinite(labels)
    expected = fit_combined(("lora_prompt", "probe"), signals[usable], labels[usable].astype(int))
    assert fitted.training.combined == expected
    assert expected.n == usable.sum() > 100
    assert min(expected.weights) > 0

    assert np.isnan(logits(mine)[fits]).all(), "rows that fitted the weights say nothing more"
    assert logits(mine)[~fits] == pytest.approx(expected.log_odds(signals)[~fits], nan_ok=True)
    held = ~fits & np.isfinite(logits(mine)) & np.isfinite(labels)
    assert fitted.temperatures["combined"].fitted == fit_temperature(logits(mine)[held], labels[held].astype(int))

    tested = np.column_stack([logits(said[name]) for name in ("lora_prompt", "probe")])
    assert logits(said["combined"]) == pytest.approx(expected.log_odds(tested), nan_ok=True)
    assert np.isnan(logits(said["combined"])).sum() == np.isnan(tested).any(axis=1).sum() > 5
    assert all(row["method"] == "combined" for row in said["combined"])
    of_test = {
        name: (np.isfinite(logits(rows)) & np.array([row["query_label"] is not None for row in rows]), rows)
        for name, rows in said.items()
    }
    ranked = {
        name: auroc(
            np.array([row["query_label"] for row, is_in in zip(rows, kept, strict=True) if is_in]), logits(rows)[kept]
        )
        for name, (kept, rows) in of_test.items()
        if name in NAMES
    }
    assert ranked["combined"] > max(ranked["probe"], ranked["lora_prompt"]) + 0.03


@pytest.mark.parametrize(
    ("names", "n_rows", "reason"),
    [
        (
            ("lora_prompt", "combined"),
            {},
            "not fitted: at least 2 tuned methods are combined, and there is lora_prompt",
        ),
        (("zero_shot_query", "combined"), {}, "not fitted: at least 2 tuned methods are combined, and there is none"),
        (NAMES, {"val_calibrate": 90}, "not fitted: 4[0-9] calibration rows in the half that it is fitted on, fewer"),
        (NAMES, {"val_calibrate": 0}, "not fitted: there are no calibration labels of the half"),
    ],
)
def test_what_cannot_be_combined_is_a_hole(
    tmp_path: Path, names: tuple[str, ...], n_rows: dict[str, int], reason: str
) -> None:
    fitted, outputs = evaluated(Location(str(tmp_path)), rows_of(N_ROWS | n_rows), names, PROBE)
    holes = outputs["test"].manifest.details["holes"]
    assert re.match(reason, holes["combined"])
    assert holes["combined+temperature"] == holes["combined"]
    assert fitted.temperatures["combined"].reason == holes["combined"]


def test_a_set_that_lacks_a_signal_has_no_combined(tmp_path: Path) -> None:
    place, rows = Location(str(tmp_path)), rows_of()
    fitted, _ = evaluated(place, rows, NAMES, PROBE)
    methods = [Method(name=name, hole="no adapter" if name == "lora_prompt" else "") for name in NAMES]
    of_set = replace(set_rows(place / "again", "test", rows), scored={})
    output = predict(COMBO, "test", methods, of_set, fitted, place / "again")
    holes = output.manifest.details["holes"]
    assert holes["combined"] == "lora_prompt, which it is made of, has no confidences here"
    assert all(row["logit"] is None for row in by_method(fitted, output)[1]["combined"])


def test_signals_of_other_rows_are_refused(tmp_path: Path) -> None:
    place, rows = Location(str(tmp_path)), rows_of()
    fitted, _ = evaluated(place, rows, NAMES, PROBE)
    of_set = set_rows(place / "again", "test", rows)
    turned = set_rows(place / "turned", "test", rows[::-1])
    methods = [Method(name=name) for name in NAMES]
    with pytest.raises(DataError, match="probe and lora_prompt are not of the same rows"):
        predict(COMBO, "test", methods, replace(of_set, scored=turned.scored), fitted, place / "again")


def test_a_platt_scaling_that_is_given_keeps_its_shift(tmp_path: Path) -> None:
    """``--temperature`` may name the files of one that a run or a bundle has."""
    place, rows = Location(str(tmp_path)), rows_of(rate=0.1)
    fitted, _ = evaluated(place, rows, ("probe",), PROBE, with_platt=True)
    platt = read_temperature((fitted.output.place / "platts" / "probe").uri)
    assert platt == fitted.platts["probe"].fitted
    plain = Method(name="probe", temperature=replace(fitted.platts["probe"].fitted, shift=0.0))
    method = replace(plain, temperature=platt)
    assert method.identity() != plain.identity()
    output = predict(COMBO, "test", [method], set_rows(place / "again", "test", rows), fitted, place / "again")
    said = by_method(fitted, output)[1]
    assert isinstance(platt, Platt)
    assert abs(platt.shift) > 0.1
    expected = logits(said["probe"]) / platt.value + platt.shift
    assert logits(said["probe+given temperature"]) == pytest.approx(expected, nan_ok=True)


def test_platt_stands_beside_the_temperature_and_is_used(tmp_path: Path) -> None:
    rows = rows_of(rate=0.1)
    fitted, outputs = evaluated(Location(str(tmp_path)), rows, ("lora_prompt", "probe"), PROBE, with_platt=True)
    plain, _ = evaluated(Location(str(tmp_path / "plain")), rows, ("lora_prompt", "probe"), PROBE)
    assert fitted.temperatures == plain.temperatures
    assert (plain.platts, plain.scalings) == ({}, plain.temperatures)
    assert fitted.scalings == fitted.platts
    calibration, said = by_method(fitted, outputs["test"])
    assert list(said) == [f"{name}{end}" for name in ("lora_prompt", "probe") for end in ("", "+temperature", "+platt")]
    for name, found in fitted.platts.items():
        held = [row for row in calibration[name] if None not in (row["logit"], row["query_label"])]
        expected = fit_platt(logits(held), np.array([row["query_label"] for row in held]))
        assert found.fitted == expected
        assert expected.shift < -0.2, "few answers are right"
        assert found.fitted.nll_after < fitted.temperatures[name].fitted.nll_after - 0.005  # type: ignore[union-attr]
        for row, scaled in zip(said[name], said[f"{name}+platt"], strict=True):
            if row["logit"] is None:
                assert scaled["p_correct"] is None
            else:
                assert scaled["logit"] == row["logit"] / expected.value + expected.shift
                assert scaled["p_correct"] == pytest.approx(
                    float(expected.confidence(np.array(row["logit"]))), abs=1e-12
                )
    records: list[dict[str, Any]] = fitted.output.manifest.details["platts"]
    assert [record["method"] for record in records] == ["lora_prompt+platt", "probe+platt"]
    again, _ = evaluated(Location(str(tmp_path)), rows, ("lora_prompt", "probe"), PROBE, with_platt=True)
    assert (again.output.was_done, again.platts) == (True, fitted.platts)
