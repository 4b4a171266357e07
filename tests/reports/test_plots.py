from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from raycalib.reports import auroc_svg, reliability_svg, risk_coverage_svg, training_svg

Plot = Callable[[dict[str, Any]], str]
PLOTS: dict[str, Plot] = {
    "reliability": lambda report: reliability_svg(report["reliability"][:7]),
    "risk_coverage": lambda report: risk_coverage_svg(report["risk_coverage"][:7], "llama2:7b oe"),
    "training": lambda report: training_svg(report["training"]),
    "auroc": lambda report: auroc_svg(report["summary"], "test"),
}
every_plot = pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS.keys())


@every_plot
def test_same_data_same_bytes(plot: Plot, report: dict[str, Any]) -> None:
    assert plot(report) == plot(report)


@every_plot
def test_is_one_svg_element_for_light_and_dark(plot: Plot, report: dict[str, Any]) -> None:
    svg = plot(report)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "<metadata" not in svg


@every_plot
def test_ids_are_unique(plot: Plot, report: dict[str, Any]) -> None:
    ids = [element.get("id") for element in ElementTree.fromstring(plot(report)).iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_nothing_to_draw_is_an_empty_string(report: dict[str, Any]) -> None:
    empty = report["reliability"][0] | {"count": [0], "mean_confidence": [None], "accuracy": [None]}
    assert [reliability_svg([empty]), risk_coverage_svg([]), training_svg([]), auroc_svg([], "test")] == [""] * 4


def test_undefined_auroc_is_not_drawn(report: dict[str, Any]) -> None:
    assert "family rate" in auroc_svg(report["summary"], "test")
    assert "family rate" not in auroc_svg(report["summary"], split="heldout_families")


def test_temperature_draws_no_second_risk_curve(report: dict[str, Any]) -> None:
    curves = report["risk_coverage"][:7]
    assert "temperature" not in risk_coverage_svg(curves)
    assert "temperature" in risk_coverage_svg([row for row in curves if row["method"] != "probe"])


def test_kept_step_is_named(report: dict[str, Any]) -> None:
    run = report["training"][0]
    assert f"kept: step {run['best_step']}" in training_svg([run])


def test_text_is_escaped_and_no_formula(report: dict[str, Any]) -> None:
    run = report["training"][0] | {"model": "--><script>$x^2$"}
    svg = training_svg([run])
    assert "<script>" not in svg
    assert "$x^2$" in svg
