from dataclasses import replace
import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.judging.settings import JudgeSettings
from raycalib.records import LABELLED
from raycalib.stages.labels.judged_by import JudgeErrors, judge_line, judge_notes, read_judge_errors
from raycalib.stages.labels.several_judges import check_judge, compare_judges
from raycalib.stages.output import StageOutput
from raycalib.storage import Location, Manifest, read_manifest, write_manifest, write_shard
from tests.stages.answers import answer


def labelled(place: Path, labels: list[int | None], **details: Any) -> StageOutput:
    """Labels of a judge, one a day."""
    rows = [
        answer(f"r{i}", "Rome", "Rome")
        | {
            "query_label": label,
            "grader": "judge",
            "unscored_reason": "unclear" if label is None else None,
            "judge": "j",
            "judge_prompt": "strict-3",
            "judged_on": f"2026-11-{20 + i}",
            "verdict": "Yes." if label else "No.",
            "retryable": False,
        }
        for i, label in enumerate(labels)
    ]
    location = Location(str(place))
    names = (write_shard(location, 0, rows, LABELLED),)
    write_manifest(location, Manifest(stage="labelled", key="k", config={}, shards=names, details=details))
    manifest = read_manifest(location)
    assert manifest is not None
    return StageOutput(place=location, manifest=manifest, was_done=False)


def test_agreement_and_the_rows_that_differ_are_written(tmp_path: Path) -> None:
    judges = {
        "a": labelled(tmp_path / "a", [1, 1, 0, 0, None], prompt_version="strict-3"),
        "b": labelled(tmp_path / "b", [1, 0, 0, 0, 1]),
        "c": labelled(tmp_path / "c", [1, 1, 0, 0, 1]),
    }
    out = Location(str(tmp_path / "out"))
    found = compare_judges(judges, out)
    assert [(pair["first"]["name"], pair["second"]["name"]) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0]["first"] == {
        "name": "a", "models": ["j"], "prompt_version": "strict-3", "date": "2026-11-20 to 2026-11-24",
    }  # fmt: skip
    assert judge_line(found[0]["first"]) == "a (as j, prompt strict-3, 2026-11-20 to 2026-11-24)"
    assert (found[0]["n"], found[0]["n_unscored"], found[0]["observed"], found[0]["kappa"]) == (4, 1, 0.75, 0.5)
    assert found[1]["kappa"] == 1
    assert json.loads((tmp_path / "out" / "agreement.json").read_text()) == found
    lines = [json.loads(line) for line in (tmp_path / "out" / "disagreements.jsonl").read_text().splitlines()]
    assert [line["row_id"] for line in lines] == ["r1"]
    assert {name: said["label"] for name, said in lines[0]["judges"].items()} == {"a": 1, "b": 0, "c": 1}


def test_a_judge_against_a_person(tmp_path: Path) -> None:
    truth = [1] * 8 + [0] * 4
    verdicts: list[int | None] = [1] * 6 + [0, None] + [0] * 3 + [1]
    out = Location(str(tmp_path / "out"))
    found = check_judge("a", labelled(tmp_path / "a", verdicts), truth, out)
    assert found["sensitivity"]["value"] == pytest.approx(6 / 7)
    assert found["specificity"]["value"] == 0.75
    assert (found["n"], found["n_unscored"]) == (12, 1)
    assert found["accuracy_by_judge"] == pytest.approx(7 / 11)
    assert json.loads((tmp_path / "out" / "judge_quality.json").read_text()) == found


def test_without_wrong_answers_there_is_no_specificity(tmp_path: Path) -> None:
    only_right = check_judge("b", labelled(tmp_path / "b", [1, 1]), [1, 1], Location(str(tmp_path / "out")))
    assert only_right["specificity"]["value"] is None


def test_later_figures_are_corrected_by_the_judges_errors(tmp_path: Path) -> None:
    """Of 10 answers 6 are called right: 0.6 = p * 0.9 + (1 - p) * 0.2, so p = 4 / 7."""
    out = Location(str(tmp_path / "check"))
    checked = labelled(tmp_path / "a", [1] * 9 + [0] + [0] * 8 + [1] * 2, judge="m", prompt_version="strict-3")
    check_judge("m", checked, [1] * 10 + [0] * 10, out)
    judge = JudgeSettings(model="m", quality=str(tmp_path / "check" / "judge_quality.json"))
    errors = read_judge_errors(judge)
    assert errors == JudgeErrors(sensitivity=0.9, specificity=0.8)
    later = labelled(tmp_path / "b", [1] * 6 + [0] * 4, judge="m", prompt_version="strict-3")
    said = judge_notes([replace(later, manifest=replace(later.manifest, counts={"out": 10, "unscored": 0}))], errors)
    assert said[0].startswith(
        "Labels in b: judged by m (as j, prompt strict-3, 2026-11-20 to 2026-11-29); 0 of 10 rows"
    )
    assert said[1].startswith("It calls 60.0% of 10 answers right;")
    assert said[1].endswith("that stands for 57.1%.")
    with pytest.raises(ConfigError, match=r"judge\.quality: .* is of m with prompt strict-3, and the judge is n with"):
        read_judge_errors(replace(judge, model="n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be used"),
        ("{}", "cannot be used"),
        (
            '{"judge": {"name": "m", "prompt_version": "strict-3"}, "sensitivity": {"value": 0.5}, '
            '"specificity": {"value": 0.5}}',
            "no better than chance",
        ),
    ],
)
def test_a_file_that_corrects_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "quality.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_judge_errors(JudgeSettings(model="m", quality=str(path)))
