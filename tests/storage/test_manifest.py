from datetime import datetime
from pathlib import Path
import platform
from uuid import uuid4

import pytest

from raycalib.errors import DataError
from raycalib.storage import Location, Manifest, git_commit, read_manifest, versions, write_manifest
from raycalib.storage.manifest import MANIFEST_NAME

MANIFEST = Manifest(
    stage="answers",
    key="0123",
    config={"model": "llama2:7b", "nested": {"a": [1, 2]}},
    inputs=("key-of-questions",),
    shards=("part-00000-00000000.parquet", "part-00001-00000000.parquet"),
    counts={"in": 3, "out": 3, "errors": 1},
    details={"rows_per_s": 1.5},
)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    """An empty place; the working directory is no repository."""
    monkeypatch.chdir(tmp_path)
    return Location(f"memory://{uuid4().hex}/stage" if request.param == "memory" else str(tmp_path / "stage"))


def test_round_trip_with_time_and_versions_filled_in(place: Location) -> None:
    write_manifest(place, MANIFEST)
    read = read_manifest(place)
    assert read is not None
    for name in ("stage", "key", "config", "inputs", "shards", "counts", "details"):
        assert getattr(read, name) == getattr(MANIFEST, name)
    assert datetime.fromisoformat(read.finished).utcoffset().total_seconds() == 0
    assert read.versions == versions()
    assert read.git_commit is None
    assert place.names() == [MANIFEST_NAME]


def test_none_where_the_stage_is_not_complete(place: Location) -> None:
    assert read_manifest(place) is None
    place.write_bytes("part-00000-00000000.parquet", b"")
    assert read_manifest(place) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"inputs": [], "shards": []}'])
def test_a_corrupt_manifest_is_a_data_error_with_a_remedy(place: Location, content: bytes) -> None:
    place.write_bytes(MANIFEST_NAME, content)
    with pytest.raises(DataError, match=r"manifest\.json .*delete it and run again"):
        read_manifest(place)


def test_unknown_keys_are_refused(place: Location) -> None:
    write_manifest(place, MANIFEST)
    place.write_json(MANIFEST_NAME, place.read_json(MANIFEST_NAME) | {"of_the_future": 1})
    with pytest.raises(DataError, match="of_the_future"):
        read_manifest(place)


def test_versions_name_python_and_what_is_installed() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert {"torch", "numpy", "pyarrow"} <= set(found)


def test_absent_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raycalib.storage.manifest.RECORDED_PACKAGES", ("numpy", "no-such-package"))
    assert set(versions()) == {"python", "numpy"}


def test_no_commit_outside_a_repository_or_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None
