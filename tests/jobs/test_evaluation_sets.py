"""On a finished run another set, another limit and another method leave what was learned as it is; a command each."""

import json
from pathlib import Path
import re

import pytest

from raycalib import CalibratedModel
from tests.jobs.commands import (
    SMALL,
    directories,
    files_below,
    of_training,
    predictions,
    rows_of,
    run_job,
    summary,
    write_facts,
)

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]
METHODS = "zero_shot_query,answer_likelihood,lora_prompt"
N_ROWS = 24
QUESTION_OF = {
    "oe": re.compile(r"Question: (.*)"),
    "choice": re.compile(r"Question:\n(.*?)\n\nChoices:\n.*", re.DOTALL),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of both styles."""
    out = tmp_path_factory.mktemp("run") / "out"
    run_job("full_pipeline", *SMALL, "--methods", METHODS, "--out", str(out))
    assert len(of_training(out)) > 20
    return out


@pytest.fixture(scope="module")
def own_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_facts(tmp_path_factory.mktemp("own") / "capitals.jsonl", N_ROWS)


@pytest.fixture(scope="module")
def with_own_set(out: Path, own_set: Path) -> Path:
    """The run with another evaluation set."""
    before, there = of_training(out), directories(out)
    run_job("full_pipeline", *SMALL, "--methods", METHODS, "--out", str(out), "--eval", f"file:{own_set}")
    assert of_training(out) == before
    new = sorted(name for name in directories(out) - there)
    assert new
    assert all("capitals" in name for name in new), new
    return out


def test_another_set_is_evaluated_and_nothing_else_is_done(with_own_set: Path) -> None:
    shown = {(style, method) for _, style, split, method in summary(with_own_set) if split == "capitals"}
    assert shown == {("oe", name + end) for name in METHODS.split(",") for end in ("", "+temperature")}
    assert {split for _, _, split, _ in summary(with_own_set)} >= {"test", "heldout_families", "capitals"}
    of_set = [key for key in predictions(with_own_set) if key[2] == "capitals"]
    assert len(of_set) == 2 * 3 * N_ROWS


@pytest.mark.parametrize(("style", "question_set"), [("oe", "test"), ("choice", "test"), ("oe", "capitals")])
def test_a_bundle_answers_and_is_as_sure_as_the_run(with_own_set: Path, style: str, question_set: str) -> None:
    bundle = with_own_set / "bundles" / f"llama2-7b-{style}"
    model = CalibratedModel.from_pretrained(str(bundle))
    (place,) = (with_own_set / "labelled").glob(f"llama2-7b-{question_set}-{style}-*")
    rows = rows_of(place)
    questions = [QUESTION_OF[style].fullmatch(row["context"])[1] for row in rows]  # type: ignore[index]
    options = [row["options"] for row in rows] if style == "choice" else None
    given = predictions(with_own_set)
    name = ("llama2:7b", style, question_set, "lora_prompt+temperature")
    expected = [given[(*name, row["row_id"])] for row in rows]
    judged = model.confidence(questions, [row["answer"] for row in rows], options)
    assert [each.p_correct for each in judged] == pytest.approx(expected, abs=1e-5)
    answered = model.answer(questions, options)
    assert [each.letter or each.text for each in answered] == [row["answer"] for row in rows]
    recorded = json.loads((bundle / "raycalib.json").read_text())["methods"]["lora_prompt"]["figures"]
    (figures,) = (each for each in recorded if each["set"] == question_set)
    assert figures["metrics"]["ece"] == summary(with_own_set)[name]["ece"]


def test_an_evaluation_job_says_what_the_pipeline_says_and_reports_are_joined(
    with_own_set: Path, own_set: Path
) -> None:
    out = with_own_set  # whose report the run before this one wrote
    before, there = of_training(out), directories(out)
    own, other = ((out / "tuned").glob(f"llama2-7b-{style}-*") for style in ("oe", "choice"))
    adapters = [text for place in (*own, *other) for text in ("--adapter", str(place))]
    flags = [*SMALL, "--model", "llama2:7b", "--style", "oe", "--eval", f"file:{own_set}", *adapters]
    run_job("evaluate", *flags, "--methods", "lora_prompt,answer_likelihood", "--csv", "--out", str(out))
    assert of_training(out) == before
    assert not [name for name in directories(out) - there if name.startswith(("questions", "answers", "features"))]

    (place,) = (out / "evaluated").iterdir()
    assert (place / "report.json").is_file()
    report = f"evaluated/{place.name}"
    mine, pipelines = predictions(out, report), predictions(out)
    transfer = "lora_prompt (from llama2:7b choice)"
    assert {key[3].partition("+")[0] for key in mine} == {"answer_likelihood", "lora_prompt", transfer}
    shared = [key for key in mine if key in pipelines and not key[3].startswith(transfer)]
    assert len([key for key in shared if key[2] == "capitals"]) == 2 * 2 * N_ROWS
    for key in shared:
        assert mine[key] == pytest.approx(pipelines[key], abs=1e-6), key
    by_transfer = {key[-1]: p for key, p in mine.items() if key[2:4] == ("capitals", transfer)}
    by_own = {key[-1]: p for key, p in mine.items() if key[2:4] == ("capitals", "lora_prompt")}
    assert by_transfer.keys() == by_own.keys()
    assert by_transfer != by_own
    (written,) = [
        path for path in (out / "predictions").glob("*capitals*/*.csv") if transfer in path.read_text(encoding="utf-8")
    ]
    assert len(written.read_text(encoding="utf-8").splitlines()) == 1 + len(rows_of(written.parent))

    said = run_job("report", "--run", str(out))
    assert "starting a local Ray" not in said
    assert summary(out, "report-all") == summary(out) | summary(out, report)
    assert json.loads((out / "report-all" / "report.json").read_text())["summary"]


@pytest.mark.long
def test_another_limit_of_an_evaluation_set_redoes_that_set_alone(out: Path) -> None:
    before, there = of_training(out), directories(out)
    run_job("full_pipeline", *SMALL, "--methods", METHODS, "--out", str(out), "--source.limits.test", "40")
    assert of_training(out) == before
    new = directories(out) - there
    assert new
    assert all("-test-" in name for name in new), sorted(new)
    assert {row["n"] for key, row in summary(out).items() if key[2] == "test"} == {40}


def test_another_method_reads_what_is_there(out: Path) -> None:
    stages = [out / stage for stage in ("questions", "answers", "labelled", "features", "scored")]
    before, others = of_training(out), files_below(*stages)
    more = f"{METHODS},family_rate,probe"
    run_job("full_pipeline", *SMALL, "--methods", more, "--out", str(out))
    assert of_training(out) == before
    assert files_below(*stages) == others
    assert {method.partition("+")[0] for *_, method in summary(out)} == set(more.split(","))
