"""A judge against a real server of 200 ms latency: rows per second of one process, and a limit shared by two.

python bench/judge.py                       # about two and a half minutes, most of them the limit of 600 a minute
python bench/judge.py --rows 5000 --limited-rows 0

The server is a process of its own (tests/judging/chat_server.py) and does the counting. Ends with one line of JSON.
"""

import argparse
import json
from pathlib import Path
import tempfile
import time

from judge_server import JudgeServer

from raycalib.judging import judge_prompt
from raycalib.judging.desk import LocalDesk
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.stages.cluster import Cluster
from raycalib.stages.given.answer_files import open_answers
from raycalib.stages.labels.label import Labelling
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location

LATENCY_S = 0.2


def one_process(n_rows: int, concurrency: int, work: Path) -> dict[str, float]:
    """Rows per second from the first request to the last reply, verdicts parsed and cached."""
    prompt = judge_prompt("strict")
    requests = [prompt.messages(f"What is {i} + {i}?", str(2 * i), str(2 * i)) for i in range(n_rows)]
    with JudgeServer(latency_s=LATENCY_S) as server:
        settings = JudgeSettings(model="judge", base_url=server.url, concurrency=concurrency)
        judge = RemoteJudge(settings, ReplyCache(Location(str(work / "cache")), settings), LocalDesk(), None)
        judge.replies(requests[:concurrency])  # opens the connections
        started = time.monotonic()
        outcomes = judge.replies(requests[concurrency:])
        seconds = time.monotonic() - started
        judge.close()
        most = server.seen()["most_in_flight"]
    labels = [prompt.parse(outcome.text or "").query_label for outcome in outcomes]
    assert labels == [1] * len(outcomes), "the server says yes to all of them"
    return {"rows_per_s": round(len(outcomes) / seconds, 1), "seconds": round(seconds, 2), "most_in_flight": most}


def limited(n_rows: int, limit: int, work: Path) -> dict[str, float]:
    """Two judging processes under one limit; from the server's count of its requests."""
    rows = [{"question": f"What is {i} + {i}?", "target": str(2 * i), "answer": str(2 * i)} for i in range(n_rows)]
    path = work / "answers.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    out, cluster = Location(str(work / "out")), Cluster(RaySettings(max_workers=2, min_workers=2))
    with JudgeServer(latency_s=LATENCY_S) as server:
        judge = JudgeSettings(model="judge", base_url=server.url, requests_per_minute=limit)
        labelling = Labelling("judge", judge, out, cluster)
        labelling.run("bench", open_answers(str(path), out, max(1, n_rows // 8)))
        labelling.close()
        cluster.close()
        seen = server.seen()
    times = sorted(seen["times"])
    minutes = (times[-1] - times[0]) / 60
    return {
        "limit_per_min": limit,
        "requests": len(times),
        "minutes": round(minutes, 3),
        "share_of_limit_used": round(len(times) / (limit * minutes), 4),
        "most_in_any_minute": seen["most_in_window"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--limited-rows", type=int, default=1200, help="0 leaves the limit out")
    parser.add_argument("--limit", type=int, default=600, help="requests per minute")
    options = parser.parse_args()
    figures: dict[str, object] = {"bench": "judge", "latency_ms": 1000 * LATENCY_S, "rows": options.rows}
    with tempfile.TemporaryDirectory() as work:
        figures |= one_process(options.rows, options.concurrency, Path(work))
        print(f"one process: {figures['rows_per_s']} rows/s", flush=True)
        if options.limited_rows:
            figures["limited"] = limited(options.limited_rows, options.limit, Path(work))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
