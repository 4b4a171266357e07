"""A judge's server that quotes the key wherever it can: after the run it is in no file, no log and no output."""

from base64 import b64encode
from collections.abc import Iterator
import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import os
from pathlib import Path
import subprocess
import sys
import threading

import pytest

from raycalib.storage import Location, find_shards, read_rows

ROOT = Path(__file__).parents[2]
KEY = "sk-Quoted/7Zp+4Kq9XvB2mWc8"
N_ROWS = 24
CLEARS = "\x1b[2J\x1b[H"


class Quoting(BaseHTTPRequestHandler):
    """Replies by the number in the question; ``refuses`` makes it refuse all."""

    refuses = False
    n_quoted = 0

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        key = self.headers["Authorization"].removeprefix("Bearer ")
        assert key == KEY
        number = int(text.split("number ", 1)[1].split("?", 1)[0])
        if type(self).refuses:
            return self.send(401, {"error": {"message": f"{CLEARS}Incorrect key {key}", "type": f"of {key[:14]}"}})
        if number == 0:
            return self.send(400, {"error": {"message": f"{key[:20]} too", "code": "context_length_exceeded"}})
        if number == 1:
            return self.send(500, f"{CLEARS}stack trace with key={key} and Authorization: Bearer {key}")
        if number == 2:
            return self.send(200, f"{CLEARS}no completion for {key}")
        said = {3: key, 4: f"Yes. {key}", 5: f"No, {b64encode(key.encode()).decode()}", 6: f"Yes: {key[3:17]} …"}
        message = {"role": "assistant", "content": said.get(number, "Yes")}
        usage = {"prompt_tokens": 10, "completion_tokens": 2}
        return self.send(200, {"model": f"judge-{key}", "choices": [{"message": message}], "usage": usage})

    def send(self, status: int, body: object) -> None:
        type(self).n_quoted += 1
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-ratelimit-reset-requests", KEY)
        self.send_header("x-request-id", KEY)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def quoting() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Quoting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def label(place: Path, port: int, out: str, ray_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "jobs/label.py", "--answers", str(place / "answers.jsonl"), "--out", str(place / out),
        "--grader", "judge", "--judge-model", "judge", "--judge-base-url", f"http://127.0.0.1:{port}/v1",
        "--judge.max-attempts", "2", "--judge.give-up", "--judge-cache", str(place / "cache"), "--rows-per-shard", "8",
        "--ray.temp-dir", str(ray_dir),
    ]  # fmt: skip
    environment = os.environ | {"OPENAI_API_KEY": KEY}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False, timeout=400)


def check_clean(text: str, where: object) -> None:
    forms = [KEY, KEY.encode().hex(), b64encode(KEY.encode()).decode()]
    parts = {form[i : i + 8] for form in forms[:1] for i in range(len(form) - 7)} | {
        forms[2][i : i + 12] for i in range(16)
    }
    found = sorted(part for part in {*forms, *parts} if part.lower() in text.lower())
    assert not found, f"{where} holds {found}"


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_quoted_key_is_nowhere(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [{"question": f"What is number {i}?", "target": "a", "answer": "b"} for i in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ray_dir = tmp_path_factory.mktemp("r")
    with quoting() as port:
        done = label(tmp_path, port, "out", ray_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        Quoting.refuses = True
        (tmp_path / "cache").rename(tmp_path / "cache of the first run")
        refused = label(tmp_path, port, "refused", ray_dir)
    assert Quoting.n_quoted > N_ROWS
    assert refused.returncode == 2
    assert "\\x1b[2J\\x1b[HIncorrect key <key>" in refused.stderr
    for name, output in {"out": done.stdout + done.stderr, "refused": refused.stdout + refused.stderr}.items():
        check_clean(output, f"the output of {name}")
        assert "\x1b[2J" not in output
    (place,) = (tmp_path / "out" / "labelled").iterdir()
    labelled = list(
        read_rows(Location(str(place)), [name for _, name in sorted(find_shards(Location(str(place))).items())])
    )
    assert [row["query_label"] for row in labelled] == [None] * 4 + [1, 0] + [1] * (N_ROWS - 6)
    assert [row["verdict"] for row in labelled[3:7]] == ["<key>", "Yes. <key>", "No, <key>g=", "Yes: <key> …"]
    assert labelled[9]["judge"] == "judge-<key>"
    for row in labelled:
        check_clean(json.dumps(row), row["row_id"])
        check_clean("".join(str(value) for value in row.values()), row["row_id"])
    files = [path for folder in (tmp_path, ray_dir) for path in folder.rglob("*") if path.is_file()]
    assert any("worker" in path.name for path in files), "Ray's logs were looked for"
    for path in files:
        check_clean(path.read_bytes().decode(errors="replace"), path)
