"""All that a whole run leaves on a terminal, and writes into a pipe, is a line of a list."""

import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

from tests.screen import open_terminal, read_all, screen_of

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
COLUMNS = 240  # lines that stay may be longer than a terminal is wide; those that are replaced are cut
MOST_LINES = 60
STAGES = ("answers llama2-7b", "labelled llama2-7b", "features llama2-7b", "scored llama2-7b", "figures")
SETS = r"( \([^()]+\))?"
"""Those that a stage's pool is at."""

SHARDS = (
    r"  (answers|labelled|features|scored) llama2-7b \(training [^()]+\): {0}/{0} shards .* \d+ s{1}"
    r"|  figures: {0}/{0} shards .* \d+ s{1}"
)
METHODS = (
    r"(zero-shot|answer likel\.|option likel\.|family rate|LoRA \+ Prompt|probe) \+ temp\."
    r"|zero-shot query|(answer|option) likelihood|family rate|LoRA \+ Prompt|probe"
)
OPTIONS = r"option likel(ihood|\. \+ temp\.)"
STAY = [
    r"questions: [\d,]+ rows in \d+ shards: of each style( \d+ \w+,?)+",
    r"starting a local Ray …",
    r"  \d+ CPUs, 0 GPUs on 1 node\(s\); what Ray and the workers print is in /\S+/logs",
    SHARDS.format(r"\d+", ""),
    r"  tuning 2 combo\(s\), 2 at once",
    r"  tune llama2:7b (oe|choice): 24 steps · best val NLL \d\.\d{3} at step \d+ · \d+ s",
    r"Test: new questions of the kinds seen in tuning|Held-out families: kinds of question never seen in tuning",
    r"method +llama2:7b oe +llama2:7b choice",
    "─+",
    r"(n|accuracy) +[\d.]+ +[\d.]+",
    rf"({METHODS})( +\d\.\d{{3}}\*?| +–){{4}}|{OPTIONS} +–( +\d\.\d{{3}}\*?){{2}}",
    r"ECE \(lower is better\) and AUROC \(higher\); \* the best of a combo\.",
    r"llama2:7b (oe|choice), family rate \+ temperature: not fitted: T ended at its upper bound \(403\): .*",
    r"Bundles: /\S+/bundles",
    r"Finished in \d+ s\.",
    r"Report: /\S+/report/index\.html",
]
IN_A_PIPE_TOO = [
    r"calibration rows no better than chance\.",
    SHARDS.replace("training ", "").format(r"\d+", r"(, about \d+ s left)?"),
    r"  \w+( llama2-7b \([^()]+\))?: 0/\d+ shards",
    r"  tune llama2:7b (oe|choice): (step \d+/24 · loss .* GiB( · about \d+ s left)?|reference states: .*)",
]


def run(out: Path, output: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "jobs/full_pipeline.py", "--recipe", "smoke", "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=os.environ | {"TERM": "xterm"})


def others(lines: list[str], allowed: list[str]) -> list[str]:
    return [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in allowed)]


def check_logs(out: Path) -> None:
    (workers,) = (out / "logs").glob("*-workers.log")
    assert "tune_trial" in workers.read_text()
    assert len(list((out / "logs").glob("*-driver.log"))) == 1


def test_on_a_terminal_a_line_of_each_stage_is_left(tmp_path: Path) -> None:
    ours, theirs = open_terminal(COLUMNS)
    process = run(tmp_path / "run", theirs)
    os.close(theirs)
    stream = read_all(ours)
    assert process.wait(timeout=60) == 0, stream[-3000:]
    lines = screen_of(stream, COLUMNS)
    assert lines.pop() == ""
    assert others(lines, STAY) == []
    for stage in STAGES:
        (line,) = (line for line in lines if re.match(f"  {stage}{SETS}: ", line))
        match = re.search(r"(\d+)/(\d+) shards", line)
        assert match is not None
        assert match[1] == match[2]
        assert len(re.findall(f"{stage}{SETS}: ", stream)) > 2, "it was updated in place"
    assert len([line for line in lines if "best val NLL" in line]) == 2
    assert re.search(r"\n  trial +combo +title +step +loss +val NLL +tokens/s +left\r", stream), (
        "a table while it tunes"
    )
    assert re.search(r"  [0-9a-f]{8}  llama2:7b/(oe|choice) +lora_prompt +\d+/24 ", stream)
    assert "  2 at work · " in stream
    check_logs(tmp_path / "run")


def test_in_a_pipe_there_are_few_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = run(tmp_path / "run", file.fileno())
        assert process.wait(timeout=1100) == 0, log.read_text(errors="replace")[-3000:]
    text = log.read_text()
    assert "\x1b" not in text
    assert "\r" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert others(lines, [*STAY, *IN_A_PIPE_TOO]) == []
    assert len(lines) <= MOST_LINES
    for stage in STAGES:
        assert re.search(rf"  {stage}{SETS}: (?P<n>\d+)/(?P=n) shards", text), stage
    assert text.count("best val NLL") == 2
    check_logs(tmp_path / "run")
