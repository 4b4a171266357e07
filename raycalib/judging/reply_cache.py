"""Replies of judges, kept for good: what was paid for once is never asked again.

One directory per judge (server or weights, model, prompt version, sampling), and in it one append-only segment per
writer: a process writes to files of its own alone, so any number of them on any number of nodes never meet. One object
per reply would be simpler, and a million rows would be a million objects to list and fetch on an object store.

- On a local or shared file system a reply is appended by one write as soon as it is there: killing the process loses
  none, and the end of the file is synced once per shard, for machines that fail.
- An object store cannot append: replies are put as one object per two seconds or 64 of them, and at the end of each
  shard. A kill loses those of the last two seconds, and of the object that is being put.

A line is a CRC-32 of the JSON behind it: one that is cut off or damaged is counted, passed over, and its row is asked
again. What stands behind a line that was cut off is still read, and what a full disk did not take is written as soon as
there is room, before the next line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
from threading import Lock
import time
from typing import Any
from uuid import uuid4
import zlib

from raycalib.errors import StorageError
from raycalib.hashing import canonical_json, stable_hash
from raycalib.judging.chat import Reply
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.settings import JudgeSettings
from raycalib.secrets import hide
from raycalib.storage import Location

SUFFIX = ".jsonl"
BATCH_REPLIES = 64
BATCH_S = 2.0
KEY_DIGITS = 32
LINE_START = re.compile(rb"[0-9a-f]{8} \{")


def reply_key(messages: Messages) -> str:
    """What a reply is found by, within its judge's directory."""
    return stable_hash(messages, digits=KEY_DIGITS)


def judge_directory(settings: JudgeSettings, weights: Mapping[str, Any] | None = None) -> str:
    """The name of a judge's directory: what its replies depend on, hashed."""
    return stable_hash("judge", settings.reply_identity() | dict(weights or {}), digits=16)


@dataclass
class CacheCounts:
    """What reading the cache came upon."""

    entries: int = 0
    damaged: int = 0


class ReplyCache:
    """The replies of one judge. All of them are held in memory, about 250 bytes each."""

    def __init__(self, place: Location, settings: JudgeSettings, weights: Mapping[str, Any] | None = None) -> None:
        """Reads nothing yet.

        Args:
            place: of all judges' replies.
            settings: which judge.
            weights: of a judge that runs in the workers, its fingerprint and type; a server has none that can be seen.
        """
        self.place = place / judge_directory(settings, weights)
        self.counts = CacheCounts()
        self._replies: dict[str, Reply] = {}
        self._read_until: dict[str, int] = {}
        self._damaged_tails: set[str] = set()
        self._name = uuid4().hex
        self._file: int | None = None
        self._owed = b""
        self._unwritten: list[bytes] = []
        self._unwritten_since = 0.0
        self._taking, self._flushing = Lock(), Lock()
        self._n_objects = 0

    def get(self, key: str) -> Reply | None:
        """The reply, if it is known."""
        return self._replies.get(key)

    def has(self, is_wanted: Callable[[Reply], bool]) -> bool:
        """Whether any reply of this judge is one that is wanted; not while another thread reads the cache."""
        return any(is_wanted(reply) for reply in self._replies.values())

    def refresh(self) -> None:
        """Reads what other writers added since.

        Raises:
            StorageError: the place cannot be read.
        """
        for name in self.place.names():
            if name.endswith(SUFFIX) and not name.startswith(self._name):
                self._read(name)
        self.counts.entries = len(self._replies)

    def put(self, key: str, reply: Reply) -> None:
        """Keeps a reply; on a file system it is written before this returns.

        Raises:
            StorageError: it cannot be written.
        """
        if key in self._replies:
            return
        self._replies[key] = reply
        named = {"model": hide(reply.model), "date": reply.date}
        line = _line({"key": key, "text": hide(reply.text), "in": reply.tokens_in, "out": reply.tokens_out, **named})
        if self.place.is_local:
            with self._taking:
                self._owed += line
                self._append()
            return
        with self._taking:
            if not self._unwritten:
                self._unwritten_since = time.monotonic()
            self._unwritten.append(line)

    @property
    def wants_flush(self) -> bool:
        """Whether enough was kept, or long enough ago, for an object of its own, and none is being put."""
        if self._flushing.locked():
            return False
        waited = time.monotonic() - self._unwritten_since
        return len(self._unwritten) >= BATCH_REPLIES or (bool(self._unwritten) and waited >= BATCH_S)

    def flush(self) -> None:
        """Writes what is kept, or syncs what was appended; called in a thread where a loop must not wait.

        Raises:
            StorageError: it cannot be written; the replies are kept for the next time.
        """
        with self._flushing:
            if self._file is not None:
                with self._taking:
                    self._append()
                os.fsync(self._file)
            with self._taking:
                lines, self._unwritten = self._unwritten, []
            if lines:
                self._put_object(lines)

    def _put_object(self, lines: list[bytes]) -> None:
        name = f"{self._name}-{self._n_objects:06d}{SUFFIX}"
        self._n_objects += 1
        try:
            self.place.write_bytes(name, b"".join(lines))
        except StorageError:
            with self._taking:
                self._unwritten = lines + self._unwritten
            raise

    def close(self) -> None:
        """Writes what is kept and closes the file."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self) -> None:
        """Appends what is owed; what the disk does not take stays owed, so that a line is ended before the next."""
        path = self.place.local_path / f"{self._name}{SUFFIX}"
        try:
            if self._file is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
            while self._owed:
                self._owed = self._owed[os.write(self._file, self._owed) :]
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    def _read(self, name: str) -> None:
        start = self._read_until.get(name, 0)
        if not self.place.is_local:
            if not start:
                content = self.place.read_bytes(name)
                self._take(name, content, 0)
            return
        path = self.place.local_path / name
        try:
            if path.stat().st_size > start:
                self._take(name, _bytes_from(path, start), start)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error}") from error

    def _take(self, name: str, content: bytes, start: int) -> None:
        """Takes lines in; a last one that is not whole is read again when the file has grown."""
        end = content.rfind(b"\n") + 1
        for line in content[:end].split(b"\n")[:-1]:
            if not self._keep(_entry(line)):
                self.counts.damaged += 1
                self._keep(_entry_behind(line))
        tail_is_whole = end == len(content) or self._keep(_entry(content[end:]))
        if not tail_is_whole and name not in self._damaged_tails:
            self._damaged_tails.add(name)
            self.counts.damaged += 1
        elif tail_is_whole and name in self._damaged_tails:  # its writer had not finished the line yet
            self._damaged_tails.remove(name)
            self.counts.damaged -= 1
        self._read_until[name] = start + end if self.place.is_local else len(content) or 1

    def _keep(self, entry: tuple[str, Reply] | None) -> bool:
        """Whether there is an entry; the first of a key counts."""
        if entry is not None:
            self._replies.setdefault(*entry)
        return entry is not None


def _bytes_from(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def _line(values: dict[str, object]) -> bytes:
    body = canonical_json(values).encode("utf-8", "replace")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _entry(line: bytes) -> tuple[str, Reply] | None:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        values = json.loads(body)
        reply = Reply(
            text=hide(str(values["text"])),  # caches of earlier versions may hold what a server quoted
            tokens_in=int(values["in"]),
            tokens_out=int(values["out"]),
            model=hide(str(values["model"])),
            date=str(values["date"]),
        )
        return str(values["key"]), reply
    except (ValueError, KeyError, TypeError):
        return None


def _entry_behind(line: bytes) -> tuple[str, Reply] | None:
    """The entry that was appended to one that was cut off before its line break."""
    found = (_entry(line[match.start() :]) for match in LINE_START.finditer(line, 1))
    return next((entry for entry in found if entry is not None), None)
