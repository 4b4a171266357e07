"""When figures and a report are made again."""

from pathlib import Path
from typing import Any

import pytest

from raycalib.stages.predictions import summarize as room
from raycalib.stages.predictions.summarize import summarize
from raycalib.storage import Location

SHOWN: dict[str, Any] = {"reasons": {}, "holes": [], "temperatures": [], "trainings": [], "notes": []}


def test_a_report_is_made_again_for_what_it_shows_and_another_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes are figures corrected by how a judge errs; holes are what failed."""
    place = Location(str(tmp_path / "report"))

    def was_done(*keys: str, **shown: Any) -> bool:
        return summarize([], keys=keys, shown=SHOWN | shown, config={}, place=place)[1]

    assert [was_done(), was_done()] == [False, True]
    assert [was_done(notes=["judged by m"]), was_done(notes=["judged by m"])] == [False, True]
    assert "judged by m" in (tmp_path / "report" / "index.html").read_text()
    assert [was_done("figures"), was_done("figures"), was_done("others")] == [False, True, False]
    hole = {"model": "m", "style": "oe", "set": "", "method": "", "reason": "no memory was left"}
    assert [was_done(holes=[hole]), was_done(holes=[hole])] == [False, True]
    assert "no memory was left" in (tmp_path / "report" / "index.html").read_text()
    reasons = {("", "m", "oe", "test", "lora_prompt"): "the loss is not finite"}
    assert [was_done(reasons=reasons), was_done(reasons=reasons)] == [False, True]
    monkeypatch.setattr(room, "VERSION", room.VERSION + 1)
    assert not was_done(reasons=reasons)
