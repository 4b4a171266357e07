import importlib.util
import json
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import pytest

from raycalib.cli import run_job
from raycalib.prompts import QUERY_SUFFIX, query_text
from tests.sources.drawn import write

JOB = Path(__file__).parents[2] / "jobs" / "prompts.py"
KEYS = [
    "source",
    "split",
    "row_id",
    "style",
    "prompt",
    "context",
    "target_prompt",
    "target",
    "aliases",
    "solution",
    "text",
]
ARC: list[dict[str, Any]] = [
    {"question": f"{name}?", "choices": {"text": [name, "ice"], "label": ["A", "B"]}, "answerKey": "A"}
    for name in ("sun", "lava", "tea", "fox 🦊")
]


def load_job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prompts_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prompts_job"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data_root(tmp_path: Path) -> str:
    write(tmp_path / "arc" / "train.jsonl", [*ARC, ARC[0] | {"question": ""}])
    write(tmp_path / "commonsense_qa" / "test.csv", [ARC[0] | {"answerKey": ""}])
    write(tmp_path / "trec" / "train.parquet", [{"text": f"{index} ?", "coarse_label": 5} for index in range(50)])
    return str(tmp_path)


class Run:
    """The job, and what it left on the two outputs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        self.monkeypatch.setattr(sys, "argv", ["prompts.py", *arguments])
        if code:
            with pytest.raises(SystemExit) as stop:
                run_job(load_job().main)
            assert stop.value.code == code
        else:
            run_job(load_job().main)
        return self.capsys.readouterr()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def test_json_is_one_object_per_row_and_nothing_else(run: Run, data_root: str) -> None:
    arguments = ["--dataset", "arc", "--style", "choice", "--split", "train", "--k-shot", "1", "--json", "--data-root"]
    out, err = run(*arguments, data_root)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [list(row) for row in rows] == [KEYS] * 4
    for row, raw in zip(rows, ARC, strict=True):
        assert (row["source"], row["split"], row["style"], row["target"]) == ("arc", "train", "choice", "a")
        assert (
            row["context"]
            == f"Question:\n{raw['question']}\n\nChoices:\n  (a): {raw['choices']['text'][0]}\n  (b): ice"
        )
        assert row["prompt"].count("Answer:") == 1
        assert raw["question"] not in row["prompt"]
        assert row["text"] == (row["prompt"] + row["context"] + row["target_prompt"] + " " + row["target"]).strip()
    assert "row 5: 'question' is empty" in err
    assert "arc: 1 rows refused, 4 shown" in err


def test_text_shows_all_that_the_model_reads_and_the_answer(run: Run, data_root: str) -> None:
    out, _ = run("--dataset", "arc", "--limit", "1", "--data-root", data_root)
    heading, *lines = out.splitlines()
    assert heading.startswith("── arc · train · oe · ")
    assert heading.endswith("answer 'sun'")
    assert lines[:2] == ["The question is: sun?", "Answer: sun"]


def test_several_datasets_and_splits_of_their_own(run: Run, data_root: str) -> None:
    out, _ = run("--dataset", "trec", "arc", "--json", "--limit", "30", "--data-root", data_root)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["source"] for row in rows] == ["trec"] * 30 + ["arc"] * 4
    assert {row["split"] for row in rows} == {"train"}  # its own split, undealt
    everything = {row["row_id"] for row in rows}
    out, _ = run("--dataset", "trec", "--split", "val_select", "--json", "--data-root", data_root)
    dealt = [json.loads(line) for line in out.splitlines()]
    assert 0 < len(dealt) < 30
    assert {row["split"] for row in dealt} == {"val_select"}
    assert everything & {row["row_id"] for row in dealt}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["commonsense_qa", "--split", "test"], "'answerKey' is '': the row has no label"),
        (["arc", "--split", "heldout_families"], "arc: no oe questions in split heldout_families"),
        (["anli_r1", "--split", "validation"], "anli_r1: no oe questions in split validation"),
        (["gsm8k", "--style", "choice"], "source gsm8k: it has no 'choice' prompts"),
    ],
)
def test_a_refused_or_empty_split_is_an_empty_output_and_a_line(
    run: Run, data_root: str, arguments: list[str], line: str
) -> None:
    write(Path(data_root) / "arc" / "test.jsonl", [])
    out, err = run("--dataset", *arguments, "--json", "--data-root", data_root)
    assert out == ""
    assert line in err


def test_own_questions_with_their_mapping(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"q": f"{index}?", "target": "x"} for index in range(40)])
    arguments = ("--dataset", f"file:{path}", "--question-column", "q", "--json")
    shown = {split: run(*arguments, "--split", split) for split in ("train", "validation", "test")}
    assert sum(len(out.splitlines()) for out, _ in shown.values()) == 40
    assert all(err == "file:mine.csv: question is 'q', answer is 'target'\n" for _, err in shown.values())


STEERING = "\x1b[2J\x9b31m\u202e\x07"
SPELLED = r"\x1b[2J\x9b31m\u202e\x07"


@pytest.fixture
def steering(tmp_path: Path) -> str:
    """One question whose texts would clear the screen, colour it, turn its direction and ring."""
    row = {"question": f"one{STEERING}?\nTwo", "answer": f"x{STEERING}"}
    return f"file:{write(tmp_path / 'mine.jsonl', [row])}"


def in_every_split(run: Run, *arguments: str) -> str:
    return "".join(run(*arguments, "--split", split)[0] for split in ("train", "validation", "test"))


def test_texts_do_not_steer_the_terminal(run: Run, steering: str) -> None:
    out = in_every_split(run, "--dataset", steering)
    assert not set(out) & set("\x1b\x9b\u202e\x07")
    assert f"one{SPELLED}?\nTwo\nAnswer: x{SPELLED}\n" in out
    heading = next(line for line in out.splitlines() if line.startswith("── "))
    assert heading.endswith(f"answer 'x{SPELLED}'")


def test_json_does_not_steer_the_terminal_and_is_exact(run: Run, steering: str) -> None:
    (line,) = in_every_split(run, "--dataset", steering, "--json").splitlines()
    assert not set(line) & set("\x1b\x9b\u202e\x07")
    row = json.loads(line)
    assert row["target"] == f"x{STEERING}"
    assert row["text"].endswith(f"one{STEERING}?\nTwo\nAnswer: x{STEERING}")


def test_names_of_columns_and_files_do_not_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / f"my{STEERING}.jsonl", [{"question": "?", f"b{STEERING}": "x"}])
    _, err = run("--dataset", f"file:{path}", code=2)
    assert "lacks the column 'answer'" in err
    assert f"b{SPELLED}" in err
    assert not set(err) & set("\x1b\x9b\u202e\x07")
    write(path, [{"question": "?", "answer": ""}])
    _, err = run("--dataset", f"file:{path}")
    assert f"file:my{SPELLED}.jsonl: question is 'question'" in err
    assert not set(err) & set("\x1b\x9b\u202e\x07")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--dataset", "acr"], "did you mean arc"),
        (["--limit", "0"], "limit: 0 is not allowed; at least 1"),
        (["--k-shot", "-1"], "k_shot: -1 is not allowed"),
        (["--k-shot"], "k_shot: a value is missing"),
        (["--k-shot", "vall=1"], "did you mean val?"),
        (["--query-header", "mmlu=5"], "query_header: mmlu=5 is not allowed; allowed: none, as-answered"),
        (["--split", "dev"], "--split"),
        (["--dataset", "file:absent.csv"], "absent.csv does not exist"),
        (["--dataset", "arc", "--data-root", "/absent"], "source arc: /absent/arc/train"),
    ],
)
def test_bad_input_is_one_line_and_code_two(run: Run, arguments: list[str], problem: str) -> None:
    out, err = run(*arguments, code=2)
    assert out == ""
    assert err.startswith("error: ")
    assert problem in err
    assert err.count("\n") == 1


def test_each_part_has_its_number_of_examples_and_its_query(run: Run, tmp_path: Path) -> None:
    splits = ("train", "train", "train", "validation", "test")
    records = [{"question": f"Q{index}?", "answer": "x", "split": split} for index, split in enumerate(splits)]
    name = f"file:{write(tmp_path / 'mine.jsonl', records)}"

    def last(split: str, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            run("--dataset", name, "--json", "--split", split, *arguments)[0].split("\n")[-2]
        )
        return found

    assert [last(split, "--k-shot", "2")["prompt"].count("Answer:") for split in ("validation", "test")] == [2, 2]
    shots = ("--k-shot", "train=1", "test=2")
    assert [last(split, *shots)["prompt"].count("Answer:") for split in ("train", "validation", "test")] == [1, 1, 2]
    assert last("test", "--k-shot", "train=1", "--eval-k-shot", "3")["prompt"].count("Answer:") == 3
    assert "query" not in last("test", *shots)
    plain = last("test", *shots, "--query-header", "train=as-answered")
    assert plain["query"] == query_text(plain["context"] + plain["target_prompt"], "x")
    shown = last("test", *shots, "--query-header", "file:mine=as-answered")
    assert shown["query"] == shown["text"] + QUERY_SUFFIX
    assert shown["text"].startswith("The following are questions")
    text, _ = run("--dataset", name, "--split", "test", *shots, "--query-header", "as-answered")
    assert text.endswith(f"── the uncertainty query about this answer\n{shown['query']}\n\n")


def test_the_help_teaches(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prompts.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        run_job(load_job().main)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for part in ("file:questions.csv", "--k-shot", "--paper-exact", "DIR/arc/train.parquet", "--answer-index-column"):
        assert part in out
