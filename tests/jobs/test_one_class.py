"""Labels of one class, as a new user meets them: questions that the model cannot know. A whole command each."""

import json
from pathlib import Path
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "nobody_knows.jsonl"
    lines = [{"question": f"What is the nickname of hill number {i}?", "answer": f"zq{i}"} for i in range(200)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def run(job: str, questions: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    out = questions.parent / "out"
    command = [sys.executable, f"jobs/{job}.py", "--recipe", "smoke", "--styles", "oe", "--out", str(out)]
    command += ["--dataset", f"file:{questions}", "--ray.train-workers", "1", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_one_class_stops_before_tuning_and_forced_has_no_temperature_and_no_best(questions: Path) -> None:
    stopped = run("tune", questions)
    assert stopped.returncode == 2, stopped.stderr[-3000:]
    assert "training labels are 0;" in stopped.stdout
    assert "check the grader; three of them: question " in stopped.stdout
    assert "tuning 1 combo" not in stopped.stdout
    assert "error: labels: nothing can be learned from the labels of llama2:7b oe" in stopped.stderr
    assert not (questions.parent / "out" / "tuned").exists()

    forced = run(
        "full_pipeline", questions, "--tuning.force-one-class", "--tuning.steps", "2", "--tuning.warmup-steps", "0"
    )
    assert forced.returncode == 0, forced.stderr[-3000:]
    table = forced.stdout[forced.stdout.index("ECE") :].replace("* best", "")
    assert "*" not in table
    assert "not fitted: all" in " ".join(forced.stdout.split())
    report = json.loads((questions.parent / "out" / "report" / "report.json").read_text())
    assert {row["temperature"] for row in report["temperatures"]} == {None}
    assert all(row["reason"] for row in report["temperatures"])
    assert {row["n"] for row in report["summary"] if row["method"].endswith("+temperature")} == {0}
    assert len(report["temperatures"]) == 5
    assert all(row["reason"] for row in report["summary"])
    assert 'class="num best"' not in (questions.parent / "out" / "report" / "index.html").read_text()
