"""Directories on an S3 server: what is written is there whole, listed at once, and gone once removed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import subprocess
import sys

import pytest

from raycalib.errors import StorageError
from raycalib.stages.output import finished
from raycalib.storage import Location, Manifest, write_manifest
from tests.jobs.s3_server import BUCKET, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Location]:
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server, pytest.MonkeyPatch.context() as patched:
        for name, value in server.environment.items():
            patched.setenv(name, value)
        yield Location(f"s3://{BUCKET}/run")


def test_a_stage_is_finished_once_its_manifest_is_there(place: Location) -> None:
    stage = place / "stage"
    assert finished(stage, "k") is None
    stage.write_bytes("weights", b"123")
    write_manifest(stage, Manifest(stage="s", key="k", config={}), besides=("weights",))
    found = finished(stage, "k")
    assert found is not None
    assert stage.read_bytes("weights") == b"123"
    stage.write_bytes("weights", b"12")
    assert finished(stage, "k") is None, "a file of another size is seen"


def test_what_others_write_is_listed_at_once_and_what_is_removed_is_gone(place: Location) -> None:
    folder = place / "many"
    assert folder.names() == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: folder.write_json(f"{n}.json", {"n": n}), range(24)))
    assert sorted(folder.names()) == sorted(f"{n}.json" for n in range(24))
    assert {folder.read_json(f"{n}.json")["n"] for n in range(24)} == set(range(24))
    (folder / "3.json").remove()
    assert not folder.exists("3.json")
    folder.remove()
    assert folder.names() == []


def test_names_that_begin_in_a_way_are_listed_alone(place: Location) -> None:
    folder = place / "parked"
    assert folder.names("parked-") == []
    for name in ("parked-1-a", "parked-1-b", "parked-11-a", "part-1-a", "parked-1-folder/parked-1-c"):
        folder.write_bytes(name, b"")
    assert folder.names("parked-1-") == ["parked-1-a", "parked-1-b"]
    (folder / "parked-1-a").remove()
    assert folder.names("parked-1-") == ["parked-1-b"]
    assert "part-1-a" in folder.names()


def test_what_another_process_has_written_since_a_listing_is_there(place: Location) -> None:
    """As a driver asks whether a trial has left its manifest, whose directory it listed before."""
    folder = place / "trial"
    folder.write_bytes("checkpoint", b"1")
    assert folder.names() == ["checkpoint"]
    code = (
        "import sys; from raycalib.storage import Location; Location(sys.argv[1]).write_bytes('manifest.json', b'{}')"
    )
    subprocess.run([sys.executable, "-c", code, folder.uri], check=True, timeout=120)
    assert folder.exists("manifest.json")


def test_a_bucket_that_is_not_there_is_one_clear_line(place: Location, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"s3://nobodys"):
        Location("s3://nobodys/run").check_writable()
