from pathlib import Path

import pytest

from raycalib.errors import ConfigError
from raycalib.storage import Location, check_can_write, check_is_kept

COPY = "runtime_resources/working_dir_files/_ray_pkg_1a2b"


def test_a_place_in_the_copy_of_a_submitted_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / COPY
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    for check in (check_can_write, check_is_kept):
        with pytest.raises(ConfigError, match=r"out: .*/runs/demo lies in Ray's copy .* removed after the job; name"):
            check(Location("runs/demo").absolute())
    assert list(copy.iterdir()) == []


@pytest.mark.parametrize("place", ["runs/demo", "working_dir_files/demo", "runtime_resources/demo"])
def test_other_places_are_not(tmp_path: Path, place: str) -> None:
    check_can_write(Location(str(tmp_path / place)))


def test_an_object_store_is_kept_whatever_its_path() -> None:
    check_is_kept(Location(f"s3://bucket/{COPY}/runs"))
