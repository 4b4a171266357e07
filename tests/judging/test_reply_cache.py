from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import errno
import json
import os
from pathlib import Path
import subprocess
import sys
import textwrap
import time
from uuid import uuid4

import pytest

from raycalib.errors import StorageError
from raycalib.judging.chat import Reply
from raycalib.judging.reply_cache import ReplyCache, judge_directory, reply_key
from raycalib.judging.settings import JudgeSettings
from raycalib.storage import Location

SETTINGS = JudgeSettings(model="m")
YES = Reply(text="Yes", tokens_in=10, tokens_out=1)
KEYS = [reply_key([{"role": "user", "content": str(i)}]) for i in range(20)]


@pytest.fixture(params=["local", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(str(tmp_path)) if request.param == "local" else Location(f"memory://cache-{uuid4().hex}")


def opened(place: Location, settings: JudgeSettings = SETTINGS) -> ReplyCache:
    cache = ReplyCache(place, settings)
    cache.refresh()
    return cache


def short_write(write: Callable[[int, bytes], int], room: list[int], file: int, content: bytes) -> int:
    """Takes as many bytes as there is room for, and fails where there is none."""
    taken = content[: room[0]]
    room[0] -= len(taken)
    if not taken:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(file, taken)


def files(place: Location) -> list[Path]:
    return sorted((place / judge_directory(SETTINGS)).local_path.iterdir())


def test_what_one_writer_keeps_another_finds(place: Location) -> None:
    writer, reader = opened(place), opened(place)
    writer.put(KEYS[0], YES)
    writer.put(KEYS[1], Reply(text="Nein “doch”\n\ud83d", tokens_in=0, tokens_out=3))
    assert writer.get(KEYS[0]) == YES
    writer.flush()
    assert reader.get(KEYS[0]) is None
    reader.refresh()
    assert reader.get(KEYS[0]) == YES
    found = reader.get(KEYS[1])
    assert found is not None
    assert found.text.startswith("Nein “doch”\n")
    writer.put(KEYS[2], YES)
    writer.close()
    reader.refresh()
    assert (reader.get(KEYS[2]), reader.counts.entries, reader.counts.damaged) == (YES, 3, 0)


def test_replies_that_come_while_others_are_written_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many threads flush a slow store while replies come in."""
    place = Location(f"memory://cache-{uuid4().hex}")
    write = Location.write_bytes
    monkeypatch.setattr(Location, "write_bytes", lambda *args: (time.sleep(0.02), write(*args)))
    cache = opened(place)
    keys = [reply_key([{"role": "user", "content": f"slow {i}"}]) for i in range(600)]
    with ThreadPoolExecutor(max_workers=16) as threads:
        for key in keys:
            cache.put(key, YES)
            if cache.wants_flush or key[0] == "0":
                threads.submit(cache.flush)
    cache.close()
    reader = opened(place)
    assert sum(reader.get(key) == YES for key in keys) == 600
    assert (reader.counts.entries, reader.counts.damaged) == (600, 0)


def test_other_weights_under_one_name_have_replies_of_their_own(place: Location) -> None:
    first = ReplyCache(place, SETTINGS, {"weights": "a", "dtype": "float32"})
    first.put(KEYS[0], YES)
    first.close()
    for weights in ({"weights": "b", "dtype": "float32"}, {"weights": "a", "dtype": "bfloat16"}):
        other = ReplyCache(place, SETTINGS, weights)
        other.refresh()
        assert other.get(KEYS[0]) is None


def test_many_writers_do_not_meet(place: Location) -> None:
    writers = [opened(place) for _ in range(5)]
    for i, key in enumerate(KEYS):
        writers[i % 5].put(key, Reply(text=str(i), tokens_in=i, tokens_out=1))
    for writer in writers:
        writer.close()
    reader = opened(place)
    assert [reader.get(key) for key in KEYS] == [Reply(text=str(i), tokens_in=i, tokens_out=1) for i in range(20)]


def test_a_reply_is_on_disk_before_put_returns(tmp_path: Path) -> None:
    writer = opened(Location(str(tmp_path)))
    writer.put(KEYS[0], YES)
    assert opened(Location(str(tmp_path))).get(KEYS[0]) == YES
    writer.close()


def test_a_killed_writer_loses_nothing_that_it_kept(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        from raycalib.judging.chat import Reply
        from raycalib.judging.reply_cache import ReplyCache
        from raycalib.judging.settings import JudgeSettings
        from raycalib.storage import Location
        cache = ReplyCache(Location(sys.argv[1]), JudgeSettings(model="m"))
        for key in sys.argv[2:]:
            cache.put(key, Reply(text="Yes", tokens_in=10, tokens_out=1))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), *KEYS], check=False)
    assert done.returncode == -9
    reader = opened(Location(str(tmp_path)))
    assert [reader.get(key) for key in KEYS] == [YES] * 20
    assert reader.counts.damaged == 0


@pytest.mark.parametrize("n_cut", [2, 5, 60])
def test_a_line_that_is_cut_off_is_counted_and_asked_again(tmp_path: Path, n_cut: int) -> None:
    writer = opened(Location(str(tmp_path)))
    for key in KEYS[:3]:
        writer.put(key, YES)
    writer.close()
    (path,) = files(Location(str(tmp_path)))
    os.truncate(path, path.stat().st_size - n_cut)
    reader = opened(Location(str(tmp_path)))
    assert [reader.get(key) for key in KEYS[:3]] == [YES, YES, None]
    reader.refresh()
    assert reader.counts.damaged == 1


def test_a_last_line_that_lacks_nothing_but_its_end_counts(place: Location) -> None:
    writer = opened(place)
    for key in KEYS[:2]:
        writer.put(key, YES)
    writer.close()
    of_judge = place / judge_directory(SETTINGS)
    (name,) = of_judge.names()
    of_judge.write_bytes(name, of_judge.read_bytes(name)[:-1])
    reader = opened(place)
    assert ([reader.get(key) for key in KEYS[:2]], reader.counts.damaged) == ([YES, YES], 0)


@pytest.mark.parametrize("damage", [b"zz", b"\xff\xfe\x00", b"0000000a {}"])
def test_what_stands_before_a_whole_line_is_counted_and_costs_nothing(tmp_path: Path, damage: bytes) -> None:
    writer = opened(Location(str(tmp_path)))
    writer.put(KEYS[0], YES)
    writer.close()
    (path,) = files(Location(str(tmp_path)))
    path.write_bytes(damage + path.read_bytes())
    reader = opened(Location(str(tmp_path)))
    assert (reader.get(KEYS[0]), reader.counts.damaged) == (YES, 1)


@pytest.mark.parametrize("n_kept", [0, 1, 8, 9, 10, 40])
def test_a_torn_line_costs_itself_alone_and_not_the_reply_appended_to_it(place: Location, n_kept: int) -> None:
    writer = opened(place)
    for key in KEYS[:4]:
        writer.put(key, YES)
    writer.close()
    of_judge = place / judge_directory(SETTINGS)
    (name,) = of_judge.names()
    lines = of_judge.read_bytes(name).splitlines(keepends=True)
    of_judge.write_bytes(name, b"".join([lines[0], lines[1][:n_kept], *lines[2:]]))
    reader = opened(place)
    assert [reader.get(key) for key in KEYS[:4]] == [YES, None, YES, YES]
    assert reader.counts.damaged == (n_kept > 0)


@pytest.mark.parametrize("n_taken", [0, 3, 30])
def test_what_a_full_disk_did_not_take_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_taken: int
) -> None:
    writer, write = opened(Location(str(tmp_path))), os.write
    writer.put(KEYS[0], YES)
    room = [n_taken]

    monkeypatch.setattr(os, "write", lambda file, content: short_write(write, room, file, content))
    with pytest.raises(StorageError, match="No space left"):
        writer.put(KEYS[1], YES)
    monkeypatch.setattr(os, "write", write)
    writer.put(KEYS[2], YES)
    reader = opened(Location(str(tmp_path)))
    assert ([reader.get(key) for key in KEYS[:3]], reader.counts.damaged) == ([YES] * 3, 0)


def test_a_line_that_is_still_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    writer = opened(Location(str(tmp_path)))
    writer.put(KEYS[0], YES)
    writer.put(KEYS[1], YES)
    writer.close()
    (path,) = files(Location(str(tmp_path)))
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    reader = opened(Location(str(tmp_path)))
    assert (reader.get(KEYS[1]), reader.counts.damaged) == (None, 1)
    path.write_bytes(content)
    reader.refresh()
    assert (reader.get(KEYS[1]), reader.counts.damaged) == (YES, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:12] + b"#" + line[13:],
        lambda line: b"00000000" + line[8:],
        lambda line: b"\n",
        lambda line: b"{}\n",
    ],
)
def test_a_damaged_line_is_counted_and_costs_itself_alone(tmp_path: Path, damage) -> None:
    writer = opened(Location(str(tmp_path)))
    for key in KEYS[:3]:
        writer.put(key, YES)
    writer.close()
    (path,) = files(Location(str(tmp_path)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], damage(lines[1]), lines[2]]))
    reader = opened(Location(str(tmp_path)))
    assert [reader.get(key) for key in KEYS[:3]] == [YES, None, YES]
    assert reader.counts.damaged == 1


def test_other_settings_have_other_replies(tmp_path: Path) -> None:
    place = Location(str(tmp_path))
    writer = opened(place)
    writer.put(KEYS[0], YES)
    writer.close()
    others = [
        JudgeSettings(model="n"),
        JudgeSettings(model="m", base_url="http://127.0.0.1:1/v1"),
        JudgeSettings(model="m", prompt="paper"),
        JudgeSettings(model="m", temperature=None),
        JudgeSettings(model="m", max_output_tokens=9),
    ]
    assert [opened(place, settings).get(KEYS[0]) for settings in others] == [None] * 5
    assert opened(place, JudgeSettings(model="m", concurrency=3, requests_per_minute=9)).get(KEYS[0]) == YES


def test_an_object_store_gets_one_object_per_batch() -> None:
    place = Location(f"memory://cache-{uuid4().hex}")
    writer = opened(place)
    for i in range(200):
        writer.put(reply_key([{"role": "user", "content": str(i)}]), YES)
        if writer.wants_flush:
            writer.flush()
    writer.close()
    names = (place / judge_directory(SETTINGS)).names()
    assert len(names) == 4  # 64 + 64 + 64 + 8
    assert opened(place).counts.entries == 200


def test_keys_are_of_the_messages_and_nothing_else() -> None:
    one = [{"role": "user", "content": "a"}]
    assert reply_key(one) == reply_key(json.loads(json.dumps(one)))
    assert reply_key(one) != reply_key([{"role": "system", "content": "a"}])
