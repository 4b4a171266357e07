"""2,000 answers judged through a proxy that fails in every way, with a worker and the driver killed on the way.

Behind the proxy is a real server with a real model (``transformers serve``). Everything is counted at the proxy, in a
process of its own; the verdicts are compared with those of the same model in this process.
"""

from collections import Counter
from collections.abc import Iterator
import hashlib
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from raycalib.judging import judge_prompt
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.names import find_model
from raycalib.stages.workers.local_judge import LocalJudge
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.storage import Location, find_shards, read_rows
from tests.jobs.processes import kill_family
from tests.judging.chat_server import drawn
from tests.judging.tiny_judge import NAME, served, write_tiny_judge

ROOT = Path(__file__).parents[2]
N_ROWS, N_WORKERS, CONCURRENCY, LIMIT = 2000, 2, 32, 2400
WINDOW_S = 10.0
"""The proxy counts in shorter windows than a minute, since the run takes about two."""
MOST_IN_WINDOW = 0.05 * LIMIT + LIMIT * (WINDOW_S + 2) / 62
"""A burst of a twentieth of the limit, and its even rate; what was allowed may arrive up to two seconds later."""
LIMIT_S = 400
PLAN = {
    "latency_s": 0.5,
    "faults": {"busy": 0.10, "error": 0.05, "hang": 0.03, "cut": 0.02, "garbage": 0.02},
    "wrong": 0.01,
    "retry_after": "1",
    "window_s": WINDOW_S,
    "key": "sk-of-the-test",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_judge(tmp_path_factory.mktemp("model"))


@pytest.fixture
def port(model: Path) -> Iterator[int]:
    with served(model) as upstream:
        plan = json.dumps(PLAN | {"upstream": upstream})
        command = [sys.executable, str(ROOT / "tests/judging/chat_server.py"), plan]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield int(process.stdout.readline())
            process.kill()


def seen(port: int) -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{port}/seen", timeout=30) as response:
        return json.load(response)


def start(port: int, place: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "jobs/label.py", "--answers", str(place / "answers.jsonl"), "--out", str(place / "out"),
        "--grader", "judge", "--judge-model", NAME, "--judge-base-url", f"http://127.0.0.1:{port}/v1",
        "--judge-requests-per-minute", str(LIMIT), "--judge-concurrency", str(CONCURRENCY), "--judge-timeout-s", "15",
        "--judge-deadline-s", "240", "--judge.max-output-tokens", "1", "--rows-per-shard", "250",
        "--ray.min-workers", str(N_WORKERS), "--ray.max-workers", str(N_WORKERS),
    ]  # fmt: skip
    environment = os.environ | {"OPENAI_API_KEY": "sk-of-the-test"}
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, env=environment)


def wait_for_requests(n: int, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while len(seen(port)["times"]) < n:
        assert process.poll() is None, f"ended too early:\n{log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.3)


def judging_workers(driver: int) -> list[psutil.Process]:
    """The actors that judge, among what the driver started."""
    family = psutil.Process(driver).children(recursive=True)
    return [process for process in family if "MapWorker" in "".join(process.cmdline())]


def verdicts(model: Path, requests: list[Messages], cache: Path) -> list[str | None]:
    """The model's replies without any server; None where rounding might change them."""
    config = ModelWorkerConfig(
        source=find_model(str(model)), dtype="float32", use_gpu=False, max_batch_tokens=8192, max_new_tokens=1
    )
    judge = LocalJudge(config, ReplyCache(Location(str(cache)), JudgeSettings(model=NAME, engine="transformers")))
    margins = [done.min_margin or 0.0 for done in judge.engine.generate([judge.request(asked) for asked in requests])]
    outcomes = judge.replies(requests)
    return [outcome.text if margin > 1e-3 else None for outcome, margin in zip(outcomes, margins, strict=True)]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1200)
def test_every_row_is_labelled_once_whatever_fails_and_dies(tmp_path: Path, port: int, model: Path) -> None:
    answers = [{"question": f"{i}?", "target": f"t{i}", "answer": f"t{i}" if i % 2 else "wrong"} for i in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in answers))
    log = tmp_path / "log"

    process = start(port, tmp_path, log)
    wait_for_requests(300, port, process, log)
    workers = judging_workers(process.pid)
    assert workers, "no judging worker was found"
    workers[0].kill()
    wait_for_requests(900, port, process, log)
    kill_family(process)

    process = start(port, tmp_path, log)
    assert process.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-3000:]

    (place,) = (tmp_path / "out" / "labelled").iterdir()
    shards = find_shards(Location(str(place)))
    rows = list(read_rows(Location(str(place)), [shards[index] for index in sorted(shards)]))
    assert [row["context"] for row in rows] == [f"{i}?" for i in range(N_ROWS)]
    make = judge_prompt("strict").messages
    requests = [make(row["question"], row["target"], row["answer"]) for row in answers]
    texts = [messages[-1]["content"] for messages in requests]
    expected = verdicts(model, requests, tmp_path / "cache")
    assert sum(verdict is None for verdict in expected) < 20
    assert min(expected.count("yes"), expected.count("no")) > 200
    n_wrong_words = 0
    for row, text, verdict in zip(rows, texts, expected, strict=True):
        assert not row["retryable"]
        assert (row["query_label"] is None) == bool(row["unscored_reason"])
        if drawn("wrong", text) < PLAN["wrong"]:
            n_wrong_words += 1
            assert row["unscored_reason"] == "the judge's first word is 'Perhaps.', neither yes nor no"
        elif verdict is not None:
            assert (row["verdict"], row["query_label"]) == (verdict, int(verdict == "yes"))
    assert 0 < n_wrong_words < 60

    counted = seen(port)
    came = Counter(map(str, counted["statuses"]))
    sent = Counter(text for text, status in zip(counted["texts"], counted["statuses"], strict=True) if status == 200)
    assert set(sent) == {hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts}
    repeated = sum(sent.values()) - N_ROWS + came["open"]
    print(f"{came.total()} requests: {dict(came)}; repeated {repeated}; most in 10 s {counted['most_in_window']}")
    assert repeated <= CONCURRENCY + N_WORKERS * CONCURRENCY, "more was asked again than was in flight at the kills"
    assert counted["most_in_window"] <= MOST_IN_WINDOW
    assert all(came[fault] for fault in ("busy", "error", "hang", "cut", "garbage"))
