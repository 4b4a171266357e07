"""Reports of several jobs in one: the later evaluation counts, on the same rows; holes go where they are filled."""

from pathlib import Path
from typing import Any

import pytest

from raycalib.steps.records import RECORDS_NAME, read_records, shown_of
from raycalib.storage import Location


def record(methods: list[str], finished: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "style": "oe",
        "set": "test",
        "predictions": f"predictions/{finished}",
        "methods": methods,
        "holes": {},
        "rows": "k",
        "finished": finished,
        "temperatures": [],
        "trainings": [],
        "notes": [],
    } | changes


def reports(tmp_path: Path, *contents: dict[str, Any]) -> list[Location]:
    places = [Location(str(tmp_path / str(number))) for number in range(len(contents))]
    for place, content in zip(places, contents, strict=True):
        place.write_json(RECORDS_NAME, {"holes": []} | content)
    return places


def shown(places: list[Location]) -> list[tuple[str, list[str]]]:
    return sorted((each["predictions"], each["methods"]) for each in read_records(places).evaluations)


def test_of_two_evaluations_of_a_method_the_later_one_counts(tmp_path: Path) -> None:
    """By when its predictions were made: a rerun that has nothing to do makes none of them newer."""
    places = reports(
        tmp_path,
        {"created": "5", "evaluations": [record(["probe", "lora_prompt"], "1")]},
        {"created": "3", "evaluations": [record(["probe"], "2"), record(["probe"], "1", style="choice")]},
    )
    assert shown(places) == [
        ("predictions/1", ["lora_prompt"]),
        ("predictions/1", ["probe"]),
        ("predictions/2", ["probe"]),
    ]


def test_evaluations_on_other_rows_are_not_set_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = reports(
        tmp_path,
        {"created": "1", "evaluations": [record(["probe"], "1", rows="of 500")]},
        {"created": "2", "evaluations": [record(["lora_prompt"], "2", rows="of 2000")]},
    )
    assert shown(places) == [("predictions/2", ["lora_prompt"])]
    assert "m oe test: an older evaluation, on other rows, is left out (predictions/1)" in capsys.readouterr().out


def test_a_hole_stays_until_a_later_report_fills_it(tmp_path: Path) -> None:
    def hole(model: str, question_set: str = "") -> dict[str, str]:
        return {"model": model, "style": "oe", "set": question_set, "method": "", "reason": "no memory"}

    places = reports(
        tmp_path,
        {"created": "1", "evaluations": [], "holes": [hole("m"), hole("n"), hole("m", "mmlu")]},
        {"created": "2", "evaluations": [record(["probe"], "2")]},
    )
    holes = read_records(places).holes
    assert [(each["model"], each["set"]) for each in holes] == [("n", ""), ("m", "mmlu")]
    assert shown_of(read_records(places))["holes"][1]["split"] == "mmlu"
