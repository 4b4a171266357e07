from collections.abc import Callable
from pathlib import Path
import pickle
import re
import sys
from uuid import uuid4

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
import pytest

from raycalib.errors import DataError, StorageError
from raycalib.storage import Location

MakeLocation = Callable[[], Location]


@pytest.fixture(params=["local", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty place of each kind; it does not exist yet."""
    if request.param == "memory":
        return Location(f"memory://{uuid4().hex}/run")
    return Location(("file://" if request.param == "file" else "") + str(tmp_path / "run"))


def all_files(place: Location) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(place.uri)
    return sorted(file.removeprefix(f"{path}/") for file in filesystem.find(path))


def test_written_bytes_come_back_and_nothing_else_is_left(place: Location) -> None:
    place.write_bytes("a.bin", b"\x00one")
    (place / "deep" / "er").write_bytes("b.bin", b"")
    assert place.read_bytes("a.bin") == b"\x00one"
    assert (place / "deep" / "er").read_bytes("b.bin") == b""
    assert all_files(place) == ["a.bin", "deep/er/b.bin"]


def test_a_second_write_replaces_the_first(place: Location) -> None:
    place.write_bytes("a.bin", b"a longer first content")
    place.write_bytes("a.bin", b"second")
    assert place.read_bytes("a.bin") == b"second"
    assert all_files(place) == ["a.bin"]


@pytest.mark.parametrize(("most", "start"), [(0, b""), (3, b"abc"), (9, b"abcde"), (None, b"abcde")])
def test_the_start_of_a_file_is_read_alone(place: Location, most: int | None, start: bytes) -> None:
    place.write_bytes("a", b"abcde")
    assert place.read_bytes("a", most) == start


def test_names_are_sorted_and_direct(place: Location) -> None:
    for name in ("b", "a", "c"):
        place.write_bytes(name, b"")
    (place / "folder").write_bytes("inner", b"")
    assert place.names() == ["a", "b", "c", "folder"]


def test_names_that_begin_in_a_way_are_those_of_files(place: Location) -> None:
    assert place.names("b") == []
    for name in ("ba", "b-1", "a", "b"):
        place.write_bytes(name, b"")
    (place / "b-2").write_bytes("b-3", b"")
    assert place.names("b") == ["b", "b-1", "ba"]
    assert place.names("b-") == ["b-1"]
    assert place.names("x") == []


def test_a_range_is_read_alone_and_ends_with_the_file(place: Location) -> None:
    place.write_bytes("a", b"abcde")
    assert place.read_range("a", 1, 3) == b"bc"
    assert place.read_range("a", 3, 9) == b"de"
    assert place.size_of("a") == 5


def test_a_place_that_does_not_exist_is_empty(place: Location) -> None:
    assert place.names() == []
    assert not place.exists("a")


def test_exists_sees_files_and_directories(place: Location) -> None:
    (place / "folder").write_bytes("inner", b"")
    assert place.exists("folder")
    assert (place / "folder").exists("inner")
    assert not place.exists("inner")


def test_remove_takes_the_directory_and_leaves_its_neighbours(place: Location) -> None:
    (place / "gone" / "deep").write_bytes("a", b"")
    (place / "kept").write_bytes("a", b"")
    (place / "gone").remove()
    assert place.names() == ["kept"]


def test_json_round_trip_is_readable(place: Location) -> None:
    place.write_json("v.json", {"b": [1, None, 0.1], "a": "é"})
    assert place.read_json("v.json") == {"a": "é", "b": [1, None, 0.1]}
    written = '{\n  "a": "é",\n  "b": [\n    1,\n    null,\n    0.1\n  ]\n}\n'
    assert place.read_bytes("v.json").decode() == written


def test_json_has_no_nan(place: Location) -> None:
    with pytest.raises(ValueError, match="JSON"):
        place.write_json("v.json", {"a": float("nan")})
    assert not place.exists("v.json")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_broken_json_is_a_data_error_with_a_remedy(place: Location, content: bytes) -> None:
    place.write_bytes("v.json", content)
    with pytest.raises(DataError, match=r"v\.json is not JSON.*delete it and run again"):
        place.read_json("v.json")


def test_reading_what_is_not_there_names_it(place: Location) -> None:
    place.write_bytes("a", b"")
    with pytest.raises(StorageError, match=r"cannot read .*run/absent"):
        place.read_bytes("absent")


def test_a_writable_place_is_left_empty_by_the_check(place: Location) -> None:
    place.check_writable()
    assert all_files(place) == []


def test_failed_local_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location(str(tmp_path))
    place.write_bytes("a", b"old")

    def no_space(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"new"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(StorageError, match=r"cannot write .*/a: .*No space left"):
        place.write_bytes("a", b"new")
    assert place.read_bytes("a") == b"old"
    assert place.names() == ["a"]


def test_failed_local_write_of_a_new_file_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StorageError):
        Location(str(tmp_path)).write_bytes("a", b"new")
    assert list(tmp_path.iterdir()) == []


def test_failed_object_store_write_leaves_the_old_content(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location(f"memory://{uuid4().hex}")
    place.write_bytes("a", b"old")

    def refused(*arguments: object, **options: object) -> None:
        raise OSError("access denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    with pytest.raises(StorageError, match="access denied"):
        place.write_bytes("a", b"new")
    assert place.read_bytes("a") == b"old"
    assert all_files(place) == ["a"]


def test_what_an_object_store_raises_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, quotas and the like have exceptions of their own, not OSError."""

    class NoCredentialsError(Exception):
        pass

    def refused(*arguments: object, **options: object) -> None:
        raise NoCredentialsError("Unable to locate credentials\nmore")

    place = Location(f"memory://{uuid4().hex}")
    for method in ("pipe_file", "cat_file", "exists"):
        monkeypatch.setattr(MemoryFileSystem, method, refused)
    for do in (lambda: place.write_bytes("a", b""), lambda: place.read_bytes("a"), place.names, place.check_writable):
        with pytest.raises(StorageError) as raised:
            do()
        assert re.fullmatch(rf"cannot \w+ {place.uri}\S*: Unable to locate credentials", str(raised.value))


def test_a_disk_that_does_not_answer_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mount whose server is away: what was written there is not to be made again."""
    place = Location(str(tmp_path))
    place.write_bytes("a", b"1")

    def stale(self: Path, **options: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "stat", stale)
    for do in (place.names, lambda: place.exists("a"), lambda: place.exists("b")):
        with pytest.raises(StorageError, match=r"cannot [a-z ]+ \S+: \[Errno 116\] Stale file handle"):
            do()


def test_a_file_system_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StorageError, match=r"s3:// is a package of its own \(s3fs, gcsfs, adlfs\): install it here"):
        Location("s3://bucket/run").check_writable()


def test_a_place_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    place = Location(str(tmp_path / "file")) / "run"
    with pytest.raises(StorageError, match="cannot write"):
        place.write_bytes("a", b"")
    with pytest.raises(StorageError, match="cannot write"):
        place.check_writable()
    assert (tmp_path / "file").read_text() == "here"


def test_local_and_remote() -> None:
    assert Location("runs/demo").is_local
    assert Location("file:///data/run").local_path == Path("/data/run")
    assert not Location("s3://bucket/run").is_local
    with pytest.raises(StorageError, match=r"s3://bucket/run is not a local directory"):
        _ = Location("s3://bucket/run").local_path


def test_absolute_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location("runs/demo").absolute() == Location(str(tmp_path / "runs" / "demo"))
    assert Location("s3://bucket/run").absolute() == Location("s3://bucket/run")


def test_joining_and_pickling() -> None:
    place = Location("s3://bucket/run/") / "stage" / "shard"
    assert place.uri == "s3://bucket/run/stage/shard"
    assert pickle.loads(pickle.dumps(place)) == place


def write_half(place: Location) -> None:
    with place.writing("a.bin") as file:
        file.write(b"half")
        raise DataError("damaged")


def test_a_file_written_piece_by_piece_is_whole_or_not_there(place: Location) -> None:
    with place.writing("a.bin") as file:
        file.write(b"one")
        file.write(b", two")
        assert not place.exists("a.bin")
    assert place.read_bytes("a.bin") == b"one, two"
    with pytest.raises(DataError, match="damaged"):
        write_half(place)
    assert place.read_bytes("a.bin") == b"one, two"
    assert all_files(place) == ["a.bin"]


def test_a_full_disk_while_a_file_is_written_is_one_line(place: Location) -> None:
    with pytest.raises(StorageError, match=r"^cannot write .*a\.bin: .*No space left"), place.writing("a.bin"):
        raise OSError(28, "No space left on device")
    assert not place.exists("a.bin")
