import math
from typing import Any

import numpy as np
import pytest

from raycalib.evaluation.figures import CURVE_POINTS, Scored, figures, reliability, risk_coverage, scored, task_figures
from raycalib.metrics import (
    accuracy,
    aurc,
    auroc,
    bootstrap_interval,
    brier_score,
    calibration_noise_floor,
    expected_calibration_error,
    mean_within_group_auroc,
    nll,
    risk_coverage_curve,
)

METRICS = ("accuracy", "ece", "auroc", "brier", "nll", "aurc")
NOTHING = {"value": None, "low": None, "high": None}


def row(label: int | None, logit: float | None, task: str = "a", group: str = "g") -> dict[str, Any]:
    p_correct = None if logit is None else 1 / (1 + math.exp(-logit))
    return {"query_label": label, "logit": logit, "p_correct": p_correct, "task": task, "group": group}


def drawn(n: int = 120) -> Scored:
    """Two tasks of rows, two rows per question, one row without a label and one without a confidence."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, n)
    labels = (generator.random(n) < 1 / (1 + np.exp(-logits))).astype(int)
    rows = [row(int(labels[i]), float(logits[i]), task="ab"[i % 2], group=f"g{i // 2}") for i in range(n)]
    return scored([*rows, row(None, 1.0), row(1, None)])


def test_scored_keeps_what_has_label_and_confidence() -> None:
    data = scored(
        [row(1, math.log(3), "a", "x"), row(None, 1.0), row(0, None), row(0, -1.0, "b", "y"), row(None, None)]
    )
    assert data.labels.tolist() == [1, 0]
    assert data.confidence.tolist() == pytest.approx([0.75, 1 / (1 + math.e)], rel=1e-12)
    assert data.logit.tolist() == [math.log(3), -1.0]
    assert (data.tasks.tolist(), data.groups.tolist()) == (["a", "b"], ["x", "y"])
    assert data.n_unscored == 3


def test_what_is_not_finite_is_unscored() -> None:
    odd: list[Any] = [(math.nan, 0.5), (0.1, math.nan), (math.inf, 1.0), (-math.inf, 0.0), (None, 0.5)]
    rows = [row(1, 1.0) | {"logit": logit, "p_correct": p_correct} for logit, p_correct in odd]
    data = scored([*rows, row(0, -1.0)])
    assert (data.labels.tolist(), data.n_unscored) == ([0], 5)


def test_figures_have_these_keys() -> None:
    found = figures(drawn(), n_resamples=20, seed=1)
    assert set(found) == {"n", "n_unscored", "reason", *METRICS, "ece_noise_floor", "within_task_auroc"}
    assert (found["n"], found["n_unscored"]) == (120, 2)
    assert all(set(found[name]) == {"value", "low", "high"} for name in METRICS)
    assert set(found["ece_noise_floor"]) == {"mean", "quantile_95"}
    assert set(found["within_task_auroc"]) == {"value", "n", "n_tasks", "n_tasks_left_out"}
    assert found["reason"] == ""


def test_values_are_the_metrics() -> None:
    data = drawn()
    found = figures(data, n_resamples=20, seed=1)
    assert {name: found[name]["value"] for name in METRICS} == {
        "accuracy": accuracy(data.labels),
        "ece": expected_calibration_error(data.labels, data.confidence),
        "auroc": auroc(data.labels, data.logit),
        "brier": brier_score(data.labels, data.confidence),
        "nll": nll(data.labels, data.confidence),
        "aurc": aurc(data.labels, data.logit),
    }
    floor = calibration_noise_floor(data.confidence, seed=1)
    assert found["ece_noise_floor"] == {"mean": floor.mean, "quantile_95": floor.quantile_95}
    within = mean_within_group_auroc(data.labels, data.logit, data.tasks)
    assert found["within_task_auroc"] == {"value": within.value, "n": 120, "n_tasks": 2, "n_tasks_left_out": 0}


def test_values_written_out() -> None:
    three = math.log(3)  # confidence 3/4
    found = figures(scored([row(1, three), row(0, three), row(1, -three), row(0, -three)]), n_resamples=5, seed=0)
    assert found["accuracy"]["value"] == 0.5
    assert found["ece"]["value"] == pytest.approx(0.25)
    assert found["auroc"]["value"] == 0.5
    assert found["brier"]["value"] == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert found["nll"]["value"] == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert found["aurc"]["value"] == pytest.approx(0.5)


def test_intervals_resample_questions_with_the_seed() -> None:
    data = drawn()
    found = figures(data, n_resamples=50, seed=3)
    expected = bootstrap_interval(auroc, (data.labels, data.logit), groups=data.groups, n_resamples=50, seed=3)
    assert (found["auroc"]["low"], found["auroc"]["high"]) == (expected.low, expected.high)
    assert figures(data, n_resamples=50, seed=3) == found
    assert figures(data, n_resamples=50, seed=4)["auroc"]["low"] != expected.low
    for name in set(METRICS) - {"ece"}:  # resampled rows repeat, which adds noise to bins and raises every ECE
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_saturated_confidences_are_still_ranked() -> None:
    data = scored([row(0, 50.0, group="1"), row(1, 60.0, group="2"), row(0, 40.0, group="3")])
    assert len(set(data.confidence.tolist())) == 1
    assert figures(data, n_resamples=5, seed=0)["auroc"]["value"] == 1.0


def test_no_rows_have_no_figures() -> None:
    found = figures(scored([row(None, 1.0), row(1, None)]), n_resamples=5, seed=0)
    assert found == {
        "n": 0,
        "n_unscored": 2,
        "reason": "none of 2 rows has a label and a confidence",
        **dict.fromkeys(METRICS, NOTHING),
        "ece_noise_floor": {"mean": None, "quantile_95": None},
        "within_task_auroc": {"value": None, "n": 0, "n_tasks": 0, "n_tasks_left_out": 0},
    }


def test_one_class_has_no_auroc_and_the_rest() -> None:
    found = figures(scored([row(1, 1.0, group="1"), row(1, 2.0, group="2")]), n_resamples=5, seed=0)
    assert found["auroc"] == NOTHING
    assert found["within_task_auroc"] == {"value": None, "n": 0, "n_tasks": 0, "n_tasks_left_out": 1}
    assert found["reason"] == "all 2 labels are 1"
    assert found["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_one_question_has_no_interval() -> None:
    found = figures(scored([row(1, 1.0), row(0, 2.0)]), n_resamples=5, seed=0)
    assert found["accuracy"] == {"value": 0.5, "low": None, "high": None}


def test_reliability_has_a_point_per_bin_that_holds_rows() -> None:
    three = math.log(3)
    points = reliability(scored([row(1, three), row(1, three), row(0, three), row(0, -three)]))
    filled = [
        (count, confidence, share)
        for count, confidence, share in zip(
            *(points[name] for name in ("count", "mean_confidence", "accuracy")), strict=True
        )
        if count
    ]
    assert filled == [(1, pytest.approx(0.25), 0.0), (3, pytest.approx(0.75), pytest.approx(2 / 3))]
    assert sum(count or 0 for count in points["count"]) == 4


def test_risk_coverage_is_the_curve_thinned_with_both_ends() -> None:
    data = drawn(1000)
    curve = risk_coverage_curve(data.labels, data.logit)
    points = risk_coverage(data)
    assert len(points["coverage"]) == len(points["risk"]) == CURVE_POINTS
    assert (points["coverage"][0], points["coverage"][-1]) == (1 / 1000, 1.0)
    assert points["risk"][-1] == pytest.approx(1 - data.labels.mean())
    by_coverage = dict(zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True))
    assert all(by_coverage[x] == y for x, y in zip(points["coverage"], points["risk"], strict=True))
    few = scored([row(1, 2.0), row(0, 1.0)])
    assert risk_coverage(few) == {"coverage": [0.5, 1.0], "risk": [0.0, 0.5]}


def test_task_figures() -> None:
    rows = [row(1, 2.0, "b"), row(0, 1.0, "b"), row(1, 0.0, "b"), row(1, 1.0, "a")]
    assert task_figures(scored(rows)) == {"a": (1, 1.0, None), "b": (3, pytest.approx(2 / 3), 0.5)}
    assert list(task_figures(scored(rows))) == ["a", "b"]


def test_everything_is_plain_json() -> None:
    data = drawn()
    for value in (figures(data, 5, 0)["ece"], reliability(data), risk_coverage(data)):
        for part in value.values():
            for number in part if isinstance(part, list) else [part]:
                assert number is None or type(number) in (int, float)
