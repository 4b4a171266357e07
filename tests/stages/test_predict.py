"""Predictions of labels that say enough, and of labels that do not: a hole with its reason, never an end. No Ray."""

import math
from pathlib import Path
import random
from typing import Any

import pytest

from raycalib.config import METHODS
from raycalib.evaluation.methods import OF_CHOICE_ALONE
from raycalib.records import Row
from raycalib.stages.combo import GivenProbe, Method
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.fit import fit
from raycalib.stages.predictions.predict import predict
from raycalib.stages.predictions.prediction import sigmoid
from raycalib.storage import Location
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import Temperature, fit_temperature
from tests.stages.combos import COMBO, evaluated, labelled_row, set_rows

PROBE = ProbeSettings(steps=4, batch_size=8, eval_every=2)
WANTED = [method for method in METHODS if method not in ("lora", "combined", *OF_CHOICE_ALONE)]
FITTED = ("family_rate", "probe", "lora_prompt")
RATE = ("family_rate", "family_rate+temperature")
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
                    log_likelihood=-math.log1p(math.exp(-level)),
                )
            )
    return rows


def predicted(tmp_path: Path, rows: list[Row], probe: ProbeSettings = PROBE) -> dict[str, StageOutput]:
    return evaluated(Location(str(tmp_path)), rows, WANTED, probe)[1]


def by_method(outputs: dict[str, StageOutput]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for output in outputs.values():
        for row in output.rows():
            found.setdefault(row["method"], []).append(row)
    return found


def holes_of(outputs: dict[str, StageOutput]) -> dict[str, str]:
    """Those of the test set, which are the other's too."""
    test, heldout = (output.manifest.details["holes"] for output in outputs.values())
    assert test == heldout
    return dict(test)


def test_labels_that_say_enough_have_all_confidences_and_temperatures(tmp_path: Path) -> None:
    rows = rows_of()
    fitted, outputs = evaluated(Location(str(tmp_path)), rows, WANTED, PROBE)
    found = by_method(outputs)
    assert list(found) == [name for method in WANTED for name in (method, f"{method}+temperature")]
    assert all(row["p_correct"] is not None for of in found.values() for row in of)
    assert holes_of(outputs) == {}
    evaluated_rows = [row for row in rows if row["split"] in outputs]
    assert [row["logit"] for row in found["lora_prompt"]] == [r["tuned"][1] - r["tuned"][0] for r in evaluated_rows]
    held = [row for row in rows if row["split"] == "val_calibrate"]
    for name, margins in {
        "lora_prompt": [row["tuned"][1] - row["tuned"][0] for row in held],
        "zero_shot_query": [row["logit_yes"] - row["logit_no"] for row in held],
    }.items():
        expected = fit_temperature(margins, [row["query_label"] for row in held])  # type: ignore[arg-type]
        checked = fitted.temperatures[name]
        assert (checked.n, checked.fitted, checked.reason) == (60, expected, "")
        plain, scaled = found[name][5], found[f"{name}+temperature"][5]
        assert scaled["p_correct"] == pytest.approx(sigmoid(plain["logit"] / expected.value), rel=1e-12)
    assert len(list(tmp_path.rglob("temperature.json"))) == len(WANTED)


def test_what_was_fitted_is_found_again(tmp_path: Path) -> None:
    first, _ = evaluated(Location(str(tmp_path)), rows_of(), WANTED, PROBE)
    again, outputs = evaluated(Location(str(tmp_path)), rows_of(), WANTED, PROBE)
    assert (first.output.was_done, again.output.was_done) == (False, True)
    assert again.temperatures == first.temperatures
    assert again.training.rates == first.training.rates
    assert all(output.was_done for output in outputs.values())
    other, outputs = evaluated(Location(str(tmp_path)), rows_of(), WANTED[:-1], PROBE)
    assert not other.output.was_done
    assert not any(output.was_done for output in outputs.values())


def test_a_given_temperature_and_a_given_probe_stand_beside_what_is_fitted(tmp_path: Path) -> None:
    place, rows = Location(str(tmp_path)), rows_of()
    fitted, outputs = evaluated(place, rows, ["probe"], PROBE)
    fitted_probe = by_method(outputs)["probe"]
    given = [
        Method(
            name="probe mine",
            probe=GivenProbe(place=fitted.output.place, file="probe.safetensors", fingerprint="f"),
            temperature=Temperature(log_temperature=math.log(2), n=0, nll_before=0, nll_after=0),
        )
    ]
    training, test = set_rows(place / "2", "training", rows), set_rows(place / "2", "test", rows)
    again = fit(COMBO, given, training, None, PROBE, 1, place)
    output = predict(COMBO, "test", given, test, again, place)
    found = by_method({"test": output})
    assert list(found) == ["probe mine", "probe mine+temperature", "probe mine+given temperature"]
    assert [row["logit"] for row in found["probe mine"]] == [row["logit"] for row in fitted_probe[:40]]
    assert [row["logit"] * 2 for row in found["probe mine+given temperature"]] == [
        row["logit"] for row in found["probe mine"]
    ]


def test_predictions_hang_on_a_methods_name_probe_and_temperature_and_not_on_where_the_probe_lies() -> None:
    def method(name: str = "a", place: str = "/p", fingerprint: str = "f", log_temperature: float = 0.5) -> Method:
        return Method(
            name=name,
            probe=GivenProbe(place=Location(place), file="head.safetensors", fingerprint=fingerprint),
            temperature=Temperature(log_temperature=log_temperature, n=0, nll_before=math.nan, nll_after=math.nan),
        )

    same, *others = (
        method(place="/moved"),
        method(name="b"),
        method(fingerprint="g"),
        method(log_temperature=0.6),
        Method(name="a"),
    )
    assert same.identity() == method().identity()
    assert all(other.identity() != method().identity() for other in others)
    assert (method(name="a b/c").slug.startswith("a-b-c-"), method(name="lora_prompt").slug) == (True, "lora_prompt")


def test_without_calibration_or_training_rows_there_are_no_temperatures_and_holes_that_say_why(tmp_path: Path) -> None:
    place, rows = Location(str(tmp_path)), rows_of()
    methods = [Method(name=name) for name in ("zero_shot_query", "family_rate", "probe")]
    fitted = fit(COMBO, methods, None, None, PROBE, 1, place)
    output = predict(COMBO, "test", methods, set_rows(place, "test", rows), fitted, place)
    assert output.manifest.details["methods"] == ["zero_shot_query", "family_rate", "probe"]
    holes = output.manifest.details["holes"]
    assert set(holes) == {"family_rate", "probe"}
    assert all("needs the training set" in reason for reason in holes.values())


def test_a_method_that_failed_is_a_hole_with_its_reason(tmp_path: Path) -> None:
    place, rows = Location(str(tmp_path)), rows_of()
    methods = [Method(name="lora_prompt", hole="the loss is not finite"), Method(name="answer_likelihood")]
    training = set_rows(place, "training", rows)
    fitted = fit(COMBO, methods, training, None, PROBE, 1, place)
    output = predict(COMBO, "test", methods, set_rows(place, "test", rows), fitted, place)
    assert output.manifest.details["holes"] == {
        "lora_prompt": "the loss is not finite",
        "lora_prompt+temperature": "the loss is not finite",
    }
    assert None not in {row["p_correct"] for row in by_method({"test": output})["answer_likelihood+temperature"]}


def test_rows_of_one_id_have_the_probes_confidence_of_their_own_features(tmp_path: Path) -> None:
    rows = rows_of()
    alone = by_method(predicted(tmp_path / "alone", rows))["probe"]
    same = by_method(predicted(tmp_path / "same", [row | {"row_id": "one"} for row in rows]))["probe"]
    assert [row["logit"] for row in same] == [row["logit"] for row in alone]
    assert len({row["logit"] for row in alone}) == len(alone)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_labels_of_one_class_give_no_temperature(tmp_path: Path, label: int) -> None:
    fitted, outputs = evaluated(Location(str(tmp_path)), rows_of({"val_calibrate": label}), WANTED, PROBE)
    reason = f"all 60 calibration labels are {label}"
    assert holes_of(outputs) == {f"{method}+temperature": f"not fitted: {reason}" for method in WANTED}
    for checked in fitted.temperatures.values():
        assert (checked.fitted, checked.n, checked.reason) == (None, 60, reason)
    found = by_method(outputs)
    assert {row["p_correct"] for row in found["probe+temperature"]} == {None}
    assert None not in {row["p_correct"] for row in found["probe"]}
    assert len(found["probe+temperature"]) == len(found["probe"]) == 60
    assert not list(tmp_path.rglob("temperature.json"))


def test_few_calibration_rows_give_no_temperature(tmp_path: Path) -> None:
    holes = holes_of(predicted(tmp_path, rows_of(n_rows={"val_calibrate": 49})))
    assert holes["lora_prompt+temperature"] == "not fitted: 49 calibration rows, fewer than 50"


def test_a_temperature_at_its_bound_is_none(tmp_path: Path) -> None:
    rows = [
        row | {"tuned": (0.0, 2.0 * row["query_label"] - 1)} if row["split"] == "val_calibrate" else row
        for row in rows_of()
    ]
    holes = holes_of(predicted(tmp_path, rows))
    assert holes["lora_prompt+temperature"].startswith("not fitted: T ended at its lower bound (0.0025)")
    assert "probe+temperature" not in holes


@pytest.mark.parametrize(
    ("labels", "holes"),
    [
        ({"train": 0}, {*RATE, "probe", "probe+temperature"}),
        ({"train": None}, {*RATE, "probe", "probe+temperature"}),
        ({"val_select": 1}, {"probe", "probe+temperature"}),
        (dict.fromkeys(N_ROWS, 0), {*RATE, "probe", "probe+temperature", "lora_prompt+temperature"}),
        (dict.fromkeys(N_ROWS), {*RATE, "probe", "probe+temperature", "lora_prompt+temperature"}),
    ],
)
def test_what_cannot_be_fitted_is_a_hole_with_its_reason(
    tmp_path: Path, labels: dict[str, Any], holes: set[str]
) -> None:
    outputs = predicted(tmp_path, rows_of(labels))
    found = holes_of(outputs)
    assert {name for name in found if name.partition("+")[0] in FITTED} == holes
    assert all(reason.startswith("not fitted: ") for reason in found.values())
    for method, rows in by_method(outputs).items():
        assert {row["p_correct"] is None for row in rows} == {method in found}


def test_a_loss_that_is_not_finite_costs_the_probe_alone(tmp_path: Path) -> None:
    steep = ProbeSettings(steps=4, batch_size=8, eval_every=2, lr=1e38)
    holes = holes_of(predicted(tmp_path, rows_of(), steep))
    assert set(holes) == {"probe", "probe+temperature"}
    assert "not finite at probe.lr 1e+38; lower it" in holes["probe"]


def test_logits_and_features_that_are_not_finite_leave_their_rows_unscored(tmp_path: Path) -> None:
    rows, n = rows_of(), len(rows_of())
    rows[n - 1] |= {"logit_yes": math.inf, "tuned": (math.inf, math.inf), "feature": [math.nan, 0.0]}
    rows[n - 2] |= {"logit_yes": math.nan, "tuned": (-math.inf, 0.0), "feature": [0.0, math.inf]}
    rows[0] |= {"feature": [math.inf, 0.0]}
    found = by_method(predicted(tmp_path, rows))
    for method in ("zero_shot_query", "lora_prompt", "lora_prompt+temperature", "probe", "probe+temperature"):
        assert [row["p_correct"] is None for row in found[method]] == [False] * 58 + [True] * 2


@pytest.mark.parametrize(
    ("log_likelihood", "has_one"), [(0.0, True), (-1e-12, True), (-2000.0, True), (-math.inf, True), (math.nan, False)]
)
def test_the_surest_answer_has_a_likelihood_and_one_that_is_not_finite_has_none(
    tmp_path: Path, log_likelihood: float, has_one: bool
) -> None:
    rows = rows_of()
    rows[-1] |= {"log_likelihood": log_likelihood}
    found = by_method(predicted(tmp_path, rows))["answer_likelihood"]
    assert [row["p_correct"] is not None for row in found] == [True] * 59 + [has_one]
