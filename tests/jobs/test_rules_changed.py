"""An upgrade that changes the rules of one step: the same command redoes that step and what follows, and says so."""

import json
import os
from pathlib import Path
import re
import shutil

import pytest

from tests.jobs.commands import ROOT, SMALL, STAGES, files_below, rows_of, run_job, summary

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]
METHODS = ["--methods", "zero_shot_query,answer_likelihood,lora_prompt"]
GRADER = "raycalib/judging/string_grading.py"


class Upgrade:
    """A copy of the code, to be changed; commands of it run with the copy alone."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("raycalib", "jobs"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))

    def change(self, module: str, rule: str, other: str) -> None:
        """Puts another rule in its place."""
        text = (self.place / module).read_text()
        assert text.count(rule) == 1
        (self.place / module).write_text(text.replace(rule, other))

    def raise_version(self, module: str, name: str) -> tuple[int, int]:
        """Raises the version of the rules, as a developer does who changes them; the one before, and the new one."""
        text = (self.place / module).read_text()
        (version,) = re.findall(rf"(?m)^{name} = (\d+)$", text)
        (self.place / module).write_text(text.replace(f"{name} = {version}", f"{name} = {int(version) + 1}"))
        return int(version), int(version) + 1

    def run(self, out: Path) -> str:
        flags = [*SMALL, *METHODS, "--styles", "oe", "--out", str(out)]
        environment = os.environ | {"PYTHONPATH": str(self.place)}
        return run_job("full_pipeline", *flags, environment=environment, root=self.place)


def versions_in(out: Path, stage: str, name: str) -> dict[Path, object]:
    """Of each directory of a stage, the version that its manifest names."""
    return {
        place.parent: json.loads(place.read_text())["config"][name] for place in (out / stage).glob("*/manifest.json")
    }


def labels(places: list[Path]) -> dict[str, int | None]:
    return {row["row_id"]: row["query_label"] for place in places for row in rows_of(place)}


def test_a_grader_and_then_a_metric_are_changed(tmp_path: Path) -> None:
    out, code = tmp_path / "out", Upgrade(tmp_path / "code")
    code.run(out)
    first, figures = files_below(out), summary(out)
    old = list(versions_in(out, "labelled", "rules"))

    was, now_is = code.raise_version(GRADER, "STRING_RULES_VERSION")
    code.change(GRADER, "return form(target) == form(answer)", "return form(target)[:1] == form(answer)[:1]")
    said = code.run(out)
    assert re.search(rf"labelled llama2-7b \S+ oe: done again, since rules is {now_is} and was {was}", said)
    latest = tuple(f"{out}/{name}" for name in ("report", "logs", "bundles"))  # of the newest state alone
    kept = {path: time for path, time in first.items() if not path.startswith(latest)}
    now = files_below(out)
    assert {path for path in kept if now[path] != kept[path] and Path(path).is_file()} <= {f"{out}/config.json"}
    for stage in ("questions", "answers", "features"):
        assert files_below(out / stage).keys() == {path for path in first if path.startswith(f"{out}/{stage}/")}
    for stage in ("labelled", "tuned", "scored", "predictions", "figures"):
        assert len(list((out / stage).iterdir())) == 2 * len({Path(path) for path in first if _is_of(path, out, stage)})
    rules = versions_in(out, "labelled", "rules")
    assert set(rules.values()) == {was, now_is}
    new = [place for place, version in rules.items() if version == now_is]
    assert sorted(rules) == sorted([*old, *new])
    assert labels(old).keys() == labels(new).keys()
    wrong_before = [row for row, label in labels(old).items() if label == 0]
    assert any(labels(new)[row] == 1 for row in wrong_before)
    assert summary(out).keys() == figures.keys()
    assert summary(out) != figures

    before, figures = files_below(*(out / stage for stage in (*STAGES, "tuned"))), summary(out)
    was, now_is = code.raise_version("raycalib/stages/predictions/figures.py", "VERSION")
    squared = "(expected_calibration_error, (data.labels, data.confidence**2))"
    code.change("raycalib/evaluation/figures.py", squared.replace("**2", ""), squared)
    said = code.run(out)
    assert f"done again, since version is {now_is} and was {was}" in said
    assert "starting a local Ray" in said  # figures are computed in parallel
    after = files_below(*(out / stage for stage in (*STAGES, "tuned")))
    assert before.items() <= after.items()
    new_files = {path for path in after.keys() - before.keys() if not Path(path).is_dir()}
    assert new_files
    assert all(path.startswith(f"{out}/figures/") for path in new_files)
    for key, row in summary(out).items():
        assert row["auroc"] == figures[key]["auroc"]
    assert any(row["ece"] != figures[key]["ece"] for key, row in summary(out).items())


def _is_of(path: str, out: Path, stage: str) -> bool:
    """Whether it is a directory right below a stage's."""
    return Path(path).parent == out / stage
