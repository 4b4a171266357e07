import importlib.util
import json
from pathlib import Path
import sys
from types import ModuleType

import pytest

from raycalib.errors import ConfigError
from tests.judging.chat_server import ChatServer, Plan

JOB = Path(__file__).parents[2] / "jobs" / "label.py"
ROWS = [
    {"question": f"{i}?", "target": "Rome", "answer": "Rome" if i % 2 else "the Rome", "label": 1} for i in range(8)
]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("label_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # tyro looks for the source of its classes
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def answers(tmp_path: Path) -> str:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "answers: name answers by --answers, or labelled ones by --check-judge"),
        (["--answers", "a.jsonl", "--check-judge", "b.jsonl"], "answers: name answers by --answers, or labelled ones"),
        (
            ["--answers", "a.jsonl", "--grader", "judge"],
            "judge.model: a judge needs a model; name one by --judge-model",
        ),
        (["--answers", "a.jsonl", "--judge-model", "m"], "grader: --judge-model is named, and no judge is asked"),
        (["--answers", "a.jsonl", "--estimate"], "estimate: only a judge costs anything"),
        (["--answers", "a.jsonl", "--judges", "a,b,a"], "judges: a, b, a names one twice"),
        (["--check-judge", "a.jsonl", "--judges", "a,b"], "check_judge: one judge is checked at a time"),
        (["--answers", "a.jsonl", "--judge-modle", "m"], "command line: .*judge-modle"),
        (["--answers", "a.jsonl", "--max-unscored", "2"], "max_unscored: 2.0 is not allowed; a share from 0 to 1"),
        (["--answers", "a.jsonl", "--max-failed", "-1"], "max_failed: -1.0 is not allowed; a share from 0 to 1"),
        (["--answers", "a.jsonl", "--rows-per-shard", "0"], "rows_per_shard: 0 is not allowed; at least 1"),
        (
            [
                "--answers",
                "a.jsonl",
                "--judges",
                "m,n",
                "--max-cost-usd",
                "1",
                "--judge-base-url",
                "http://127.0.0.1/v1",
            ],
            "max_cost_usd: the price of '[mn]' is not known",
        ),
    ],
)
def test_bad_input_is_one_clear_error(job: ModuleType, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        job.main(arguments)


def test_an_estimate_asks_nothing(job: ModuleType, answers: str, tmp_path: Path, capsys) -> None:
    with ChatServer() as server:
        arguments = ["--answers", answers, "--judges", "gpt-4o-mini,exact", "--estimate", "--out", str(tmp_path / "o")]
        job.main([*arguments, "--judge-base-url", server.url])
        assert server.seen.times == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("8 rows, 8 to be judged by gpt-4o-mini, 0 of them known: about ")
    assert "less than $0.01, less than a minute" in line


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_judges_are_compared_and_one_is_checked(
    job: ModuleType, answers: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys
) -> None:
    out = tmp_path / "out"
    common = ["--out", str(out), "--ray.temp-dir", str(tmp_path_factory.mktemp("r")), "--ray.max-workers", "1"]
    with ChatServer(Plan()) as server:
        common += ["--judge-base-url", server.url]
        job.main(["--answers", answers, "--judges", "judge,exact", *common])
        assert len(server.seen.times) == 8
        job.main(["--check-judge", answers, "--judge-model", "judge", *common])
        assert len(server.seen.times) == 8  # the same rows
    said = capsys.readouterr().out
    (pair,) = json.loads((out / "agreement.json").read_text())
    assert (pair["n"], pair["observed"]) == (8, 0.5)  # the server wants the right answer to the letter
    assert len((out / "disagreements.jsonl").read_text().splitlines()) == 4
    quality = json.loads((out / "judge_quality.json").read_text())
    assert (quality["sensitivity"]["value"], quality["specificity"]["value"]) == (0.5, None)
    assert "kappa" in said
    assert "sensitivity 0.500 [" in said
    assert "strict-3" in said


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_a_row_that_hangs_holds_up_its_own_shard_alone(
    job: ModuleType, answers: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One worker, four shards: all other rows are asked and answered before the row that hung is asked again."""
    arguments = ["--answers", answers, "--grader", "judge", "--judge-model", "judge", "--rows-per-shard", "2"]
    arguments += ["--ray.temp-dir", str(tmp_path_factory.mktemp("r")), "--ray.max-workers", "1"]
    with ChatServer(Plan(script=["hang"], hang_s=10.0)) as server:
        job.main([*arguments, "--judge-base-url", server.url, "--out", str(tmp_path / "out")])
        texts, statuses = server.seen.texts, server.seen.statuses
    hung = texts[0]
    assert (len(texts), statuses[0], statuses[1:]) == (9, "hang", [200] * 8)
    assert [place for place, text in enumerate(texts) if text == hung] == [0, 8]
    assert len(set(texts)) == 8
