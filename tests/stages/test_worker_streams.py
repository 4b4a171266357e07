"""What workers print and raise is printable and without secrets."""

import io
import logging
from pathlib import Path
import subprocess
import sys

import pytest

from raycalib.errors import DataError
from raycalib.records import ANSWER, LABELLED
from raycalib.secrets import remember
from raycalib.stages.lines.worker_streams import CleanStream, WorkerError, clean_errors
from raycalib.stages.pools.shard_map import ShardMap, ShardTarget
from raycalib.storage import Location, write_shard
from tests.stages.answers import answer

KEY = "sk-streams-4fK9zQ72LmXw"
CLEARS = "\x1b[2J\x1b]0;owned\x07\u202e"


@pytest.fixture(autouse=True)
def key_is_known() -> None:
    remember(KEY)


def test_what_is_written_is_clean_and_the_stream_stays_what_it_is() -> None:
    behind = io.StringIO()
    stream = CleanStream(behind)
    print(f"a {CLEARS} b {KEY[:12]}\r50 %\r\nc", file=stream)
    assert behind.getvalue() == "a \\x1b[2J\\x1b]0;owned\\x07\\u202e b <key>\n50 %\nc\n"
    assert not stream.isatty()
    logger = logging.getLogger("of this test")
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("said %s", CLEARS)
    assert "\x1b" not in behind.getvalue()


class FailingWorker:
    """Fails with what a server says."""

    def __init__(self, config: str) -> None:
        self.config = config

    def process(self, rows: object) -> list[dict[str, object]]:
        raise ValueError(self.config)


def test_a_shards_failure_is_printed_and_reported_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Location(str(tmp_path / "in"))
    name = write_shard(source, 0, [answer("a", "Rome", "Rome")], ANSWER)
    target = ShardTarget(source, Location(str(tmp_path / "out")), LABELLED)
    mapped = ShardMap(FailingWorker, f"{CLEARS} {KEY}", [target])
    (cause,) = mapped({"work": [0], "shard": [0], "name": [name]})["cause"]
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "\x1b" not in printed
    assert "\\x1b[2J" in printed
    for text in (printed, cause):
        assert KEY[:8] not in text
        assert "<key>" in text


@pytest.mark.parametrize(("error", "kind"), [(DataError(f"x{CLEARS}{KEY}"), DataError), (OSError(KEY), WorkerError)])
def test_what_is_raised_again_is_clean(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised, clean_errors():
        raise error
    text = str(raised.value)
    assert "\x1b" not in text
    assert "<key>" in text
    assert raised.value.__cause__ is None


def test_a_clean_error_stays_as_it_is() -> None:
    error = KeyError("a")
    with pytest.raises(KeyError) as raised, clean_errors():
        raise error
    assert raised.value is error


def test_a_fault_of_our_own_ends_a_job_with_a_clean_traceback(tmp_path: Path) -> None:
    code = (
        "from raycalib.cli import run_job\n"
        "def main(arguments):\n    raise RuntimeError('\\x1b[2J said ' + arguments[0])\n"
        "run_job(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, KEY], capture_output=True, text=True, env={"OPENAI_API_KEY": KEY, "PATH": "/bin"},
        cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "RuntimeError: \\x1b[2J said <key>" in done.stderr
    assert "\x1b" not in done.stderr
    assert KEY not in done.stderr
