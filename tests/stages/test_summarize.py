"""When a report is made again."""

from pathlib import Path

import pytest

from raycalib.stages import summarize as room
from raycalib.stages.summarize import summarize
from raycalib.storage import Location


def test_a_report_is_made_again_for_other_notes_and_another_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes are figures corrected by how a judge errs; a version is what figures are computed by."""
    monkeypatch.setattr(room, "_cells", lambda predictions, n_resamples, cluster: [])

    def was_done(*notes: str, n_resamples: int = 5) -> bool:
        return summarize([], [], {}, n_resamples, Location(str(tmp_path)), cluster=None, notes=notes)[1]  # type: ignore[arg-type]

    assert [was_done(), was_done()] == [False, True]
    assert [was_done("judged by m"), was_done("judged by m")] == [False, True]
    assert "judged by m" in (tmp_path / "report" / "index.html").read_text()
    assert not was_done("judged by m", n_resamples=6)
    monkeypatch.setattr(room, "REPORT_VERSION", room.REPORT_VERSION + 1)
    assert not was_done("judged by m", n_resamples=6)
