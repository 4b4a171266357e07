"""Event files on a store that does not always answer."""

import pytest

from raycalib.errors import StorageError
from raycalib.stages.boards.event_files import EventFiles
from raycalib.storage import Location


def test_what_a_store_does_not_take_comes_with_the_next_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location("memory://event-files")
    files = EventFiles(place)
    files.writer.add_scalar("loss", 0.5, 1)

    def refuse(self: Location, name: str, content: bytes) -> None:
        raise StorageError("cannot write: 503 slow down")

    with monkeypatch.context() as patched:
        patched.setattr(Location, "write_bytes", refuse)
        files.keep()
    folder = place / "tensorboard"
    assert folder.names() == []
    files.close()
    assert [name.startswith("events.out.tfevents.") for name in folder.names()] == [True]
