"""2,000 rows through a server that mixes all odd replies with right ones: labels and money as its own log has them."""

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from raycalib.judging.desk import LocalDesk
from raycalib.judging.ledger import Ledger, LimitSettings
from raycalib.judging.prices import Price
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.judging.spend_journal import SpendJournal
from raycalib.stages.workers.labels import JudgeWorker, JudgeWorkerConfig
from raycalib.storage import Location, find_shards, read_rows
from tests.judging.mixed_server import MixedServer
from tests.stages.answers import answer

ROOT = Path(__file__).parents[2]
N_ROWS, PER_TOKEN = 2000, 1e-6
LIMIT_S = 600


def hold_to_the_log(server: MixedServer, labels: dict[str, int | None], place: Location, most: float) -> None:
    """Every row's label, and money: answered ≤ done by the server ≤ booked ≤ allowed."""
    expected = server.labels()
    different = [(row, label, expected.get(row)) for row, label in labels.items() if label != expected.get(row)]
    assert not different, different[:5]
    assert (len(labels), min(list(labels.values()).count(label) for label in (0, 1)) > 300) == (N_ROWS, True)
    assert list(labels.values()).count(None) > 300
    booked = SpendJournal(place).others_usd
    assert 0 < server.cost_usd(PER_TOKEN, answered=True) <= server.cost_usd(PER_TOKEN) <= booked <= most


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_labels_and_money_are_those_of_the_servers_log(tmp_path: Path) -> None:
    place, journal = Location(str(tmp_path / "out")), SpendJournal(Location(str(tmp_path / "out")))
    rows = [answer(str(i), f"t{i}", f"t{i}" if i % 2 else "wrong") for i in range(N_ROWS)]
    with MixedServer() as server:
        settings = JudgeSettings(model="judge", base_url=server.url, concurrency=64, timeout_s=15.0, outage_s=60.0)
        desk = LocalDesk()
        desk.ledger = Ledger(LimitSettings(max_cost_usd=50.0), purse=journal)
        config = JudgeWorkerConfig(settings=settings, cache=place / "cache", desk=desk)
        price = Price(input=PER_TOKEN * 1e6, output=PER_TOKEN * 1e6)
        worker = JudgeWorker(config, RemoteJudge(settings, ReplyCache(place / "cache", settings), desk, price))
        with ThreadPoolExecutor(max_workers=4) as threads:
            parts = list(threads.map(worker.process, [rows[start : start + 500] for start in range(0, N_ROWS, 500)]))
        worker.engine.close()  # type: ignore[attr-defined]
        journal.close(desk.ledger.budget)
    done = [row for part in parts for row in part]
    assert all((row["query_label"] is None) == bool(row["unscored_reason"]) for row in done)
    labels = {f"{row['context']}{row['target_prompt']}": row["query_label"] for row in done}
    hold_to_the_log(server, labels, place, 50.0)


def start(server: MixedServer, place: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "jobs/label.py", "--answers", str(place / "answers.jsonl"), "--out", str(place / "out"),
        "--grader", "judge", "--judge-model", "judge", "--judge-base-url", server.url, "--rows-per-shard", "100",
        "--judge-concurrency", "32", "--judge-timeout-s", "15", "--max-cost-usd", "50", "--price-table",
        str(place / "prices.json"), "--ray.max-workers", "1", *more,
    ]  # fmt: skip
    with (place / "log").open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, env=os.environ | {"PYTHONPATH": str(ROOT)})


def rows_of(place: Path) -> list[dict[str, Any]]:
    (stage,) = (place / "out" / "labelled").iterdir()
    shards = find_shards(Location(str(stage)))
    return list(read_rows(Location(str(stage)), [shards[index] for index in sorted(shards)]))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_so_are_those_of_a_job_that_is_interrupted_and_has_too_many_unscored_rows(tmp_path: Path) -> None:
    answers = [{"question": f"{i}?", "target": f"t{i}", "answer": f"t{i}" if i % 2 else "wrong"} for i in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in answers))
    (tmp_path / "prices.json").write_text(json.dumps({"models": {"judge": {"input": 1.0, "output": 1.0}}}))
    out, log = Location(str(tmp_path / "out")), tmp_path / "log"
    with MixedServer(latency_s=0.2) as server:
        process = start(server, tmp_path)
        deadline = time.monotonic() + LIMIT_S
        while len(server.log) < 400:
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, "the moment did not come"
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LIMIT_S) == 130, log.read_text(errors="replace")[-3000:]
        assert server.cost_usd(PER_TOKEN) <= SpendJournal(out).others_usd <= 50.0

        assert start(server, tmp_path).wait(timeout=LIMIT_S) == 2
        said = log.read_text(errors="replace")
        assert "rows are unscored (" in said
        assert "--max-unscored allows 20.0%" in said
        assert "\x1b[2J" not in said
        assert not list((tmp_path / "out").rglob("manifest.json"))[1:]  # but for that of the answers
        n_asked = len(server.seen.times)

        assert start(server, tmp_path, "--max-unscored", "0.5").wait(timeout=LIMIT_S) == 0
        assert len(server.seen.times) == n_asked
        assert start(server, tmp_path).wait(timeout=LIMIT_S) == 2  # a finished stage is held to the bound as well
    done = rows_of(tmp_path)
    hold_to_the_log(server, {row["context"]: row["query_label"] for row in done}, out, 50.0)
    assert len(list((tmp_path / "out" / "judge_spend").iterdir())) == 2
