"""Asking a bundle in all its forms: one question, lines, the keyboard of a terminal, and a file on a local Ray."""

from collections.abc import Sequence
import io
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from jobs.ask import main
from raycalib import CalibratedModel
from raycalib.errors import ConfigError
from raycalib.storage import Location
from tests.bundles.bundles import TinyLlama, made_bundle
from tests.jobs.commands import ROOT
from tests.screen import open_terminal

QUESTION = "What is the capital of France?"
SURE = np.linspace(6, -6, 400)
RIGHT = (np.arange(400) < 200).astype(np.int64)


@pytest.fixture
def bundle(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> Location:
    return made_bundle(tiny_llama, tiny_model_dir, tmp_path, rows=(SURE, RIGHT))


@pytest.fixture
def asked(bundle: Location, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command of these flags says; JSON as values."""

    def ask(*flags: str) -> Any:
        capsys.readouterr()
        main(["--bundle", bundle.uri, *flags])
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in flags else said

    return ask


def expected(bundle: Location, answers: Sequence[str]) -> list[float | None]:
    found = CalibratedModel.from_pretrained(bundle.uri).confidence([QUESTION] * len(answers), answers)
    return [each.p_correct for each in found]


def test_an_answer_from_elsewhere_is_judged(bundle: Location, asked: Any) -> None:
    (p_correct,) = expected(bundle, ["Paris"])
    found = asked("--question", QUESTION, "--answer", "Paris", "--json")
    assert found["p_correct"] == pytest.approx(p_correct, abs=1e-6)
    assert (found["question"], found["answer"], found["abstain"], found["threshold"]) == (
        QUESTION,
        "Paris",
        False,
        None,
    )
    said = asked("--question", QUESTION, "--answer", "Paris")
    assert said.splitlines()[0] == "Paris"
    assert f"{100 * p_correct:.0f} % likely to be right: of answers like this, " in said


def test_less_than_is_asked_for_is_withheld(bundle: Location, asked: Any) -> None:
    (p_correct,) = expected(bundle, ["Paris"])
    for threshold, abstains in ((p_correct - 0.01, False), (p_correct + 0.01, True)):
        flags = ["--question", QUESTION, "--answer", "Paris", "--min-confidence", str(threshold)]
        assert asked(*flags, "--json")["abstain"] is abstains
        assert ("Paris" in asked(*flags)) is not abstains


def test_the_threshold_of_a_risk_is_kept_in_the_bundle(bundle: Location, asked: Any) -> None:
    said = asked("--question", QUESTION, "--answer", "Paris", "--max-risk", "0.1")
    assert "of those at most 10% are wrong with probability 95%" in said
    assert "(kept in the bundle)" in said
    (certificate,) = bundle.read_json("raycalib.json")["certificates"]
    assert (certificate["max_risk"], certificate["delta"], certificate["n"]) == (0.1, 0.05, 400)
    found = json.loads(bundle.read_bytes("raycalib.json"))
    assert found["certificates"] == [certificate]
    with pytest.raises(ConfigError, match=r"none is a threshold above which at most 1% are wrong .*459 calibration"):
        asked("--question", QUESTION, "--max-risk", "0.01")


def test_thresholds_are_explained_without_a_model(bundle: Location, asked: Any, tiny_model_dir: Path) -> None:
    (tiny_model_dir / "model.safetensors").unlink()
    assert "400 calibration answers, 200 right" in asked("--explain-threshold")


def test_lines_of_standard_input_are_questions(
    asked: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\n\nWhy?\n"))
    said = asked()
    assert said.count("how likely") + said.count("likely to be right") == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "bundle: name one by --bundle"),
        (["--bundle", "absent"], r"there is no raycalib\.json in absent"),
        (["--bundle", "b", "--min-confidence", "1.5"], "min_confidence: 1.5 is not allowed"),
        (["--bundle", "b", "--min-confidence", "0.5", "--max-risk", "0.1"], "give one of the two"),
        (["--bundle", "b", "--answer", "Paris"], "question: --answer and --choices belong to one"),
        (["--bundle", "b", "--question", " "], "question: it is empty"),
        (["--bundle", "b", "--in", "q.jsonl"], "give --in FILE and --out DIR together"),
        (["--bundle", "b", "--in", "q.jsonl", "--out", "o", "--json"], "leave --question and --json out"),
        (["--bundle", "b", "--rows-per-shard", "0"], "rows_per_shard: 0 is not allowed"),
        (["--bundle", "b", "--method", "lora"], r"there is no raycalib\.json"),
    ],
)
def test_what_cannot_be_is_one_line(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        main(flags)


def test_options_of_an_open_ended_bundle_are_refused(asked: Any) -> None:
    with pytest.raises(ConfigError, match="this bundle is of open-ended questions"):
        asked("--question", QUESTION, "--choices", "Paris", "Rome")


def ask_by_hand(bundle: Location, lines: Sequence[str], *flags: str) -> str:
    """What is on the terminal of a person who types these lines, the last of them Ctrl-D."""
    ours, theirs = open_terminal(100)
    command = [sys.executable, "jobs/ask.py", "--bundle", bundle.uri, *flags]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as run:
        os.close(theirs)
        shown = ""
        for number, line in enumerate([*lines, "\x04"]):
            while shown.count("question> ") <= number:
                shown += os.read(ours, 65536).decode()
            os.write(ours, line.encode() if line == "\x04" else f"{line}\n".encode())
        try:
            while part := os.read(ours, 65536):
                shown += part.decode()
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert run.wait(timeout=60) == 0, shown
    return shown.replace("\r", "")


def test_questions_are_typed_at_a_terminal(
    bundle: Location, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    shown = ask_by_hand(bundle, [QUESTION, "", "Why?"])
    assert "loading tiny … (end with Ctrl-D)" in shown
    assert shown.count("likely to be right") + shown.count("how likely it is") == 2
    (tmp_path / "choice").mkdir()
    choice = made_bundle(tiny_llama, tiny_model_dir, tmp_path / "choice", rows=(SURE, RIGHT), style="choice")
    shown = ask_by_hand(choice, [f"{QUESTION} | Paris | Rome", "Without options?"])
    assert "choices: this bundle is of multiple choice" in shown, "and it goes on"


@pytest.mark.ray
def test_a_file_is_answered_as_one_by_one_and_again_at_once(bundle: Location, tmp_path: Path) -> None:
    questions = [f"What is the capital of {name}?" for name in ("France", "Peru", "Cuba", "Japan", "Italy")]
    file, out = tmp_path / "questions.jsonl", tmp_path / "out"
    lines = [
        json.dumps({"question": question, "context": "Maps." if not n else ""}) for n, question in enumerate(questions)
    ]
    file.write_text("\n".join([*lines, '{"question": ""}', "no json"]) + "\n")
    flags = [
        "--bundle",
        bundle.uri,
        "--in",
        str(file),
        "--out",
        str(out),
        "--rows-per-shard",
        "2",
        "--max-failed",
        "0.5",
    ]

    def run(*more: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "jobs/ask.py", *flags, *more], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = run()
    assert "7 questions, " in said
    found = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert [row["number"] for row in found] == [1, 2, 3, 4, 5, 6, 7]
    alone = CalibratedModel.from_pretrained(bundle.uri).answer(questions, contexts=["Maps.", "", "", "", ""])
    for row, answer in zip(found, alone, strict=False):
        assert (row["answer"], row["reason"]) == (answer.text, answer.reason)
        assert row["p_correct"] == (None if answer.p_correct is None else pytest.approx(answer.p_correct, abs=1e-6))
    assert [row["reason"] for row in found[5:]] == ["'question' is empty", found[6]["reason"]]
    assert found[6]["reason"].startswith("is not JSON")
    (place,) = (out / "bundle").iterdir()
    assert (place / "adapter_model.safetensors").read_bytes() == bundle.read_bytes("adapter_model.safetensors"), (
        "nodes read it where they all see it"
    )
    again = run("--min-confidence", "0.5")
    assert "(finished before)" in again
    assert "starting a local Ray" not in again
    found = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert [row["abstain"] for row in found] == [(row["p_correct"] or 0) < 0.5 for row in found]
