"""What no node holds any more is said, and waited for with a bound; what a node holds may take its time."""

import pytest

from raycalib.stages import standstill
from raycalib.stages.output import StageError
from raycalib.stages.standstill import Standstill


def test_what_is_lacking_is_said_and_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, lack = [100.0], [""]
    monkeypatch.setattr(standstill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(standstill, "lack_of_workers", lambda cpus, gpus: lack[0] and f"{lack[0]} of {cpus}, {gpus}")
    seen = Standstill("answers m", 1.0, 2.0, 60.0)

    def at(seconds: float, lacking: str) -> str:
        now[0], lack[0] = 100.0 + seconds, lacking
        seen.on_execution_step(None)
        return capsys.readouterr().out

    assert at(10_000, "") == ""
    assert at(10_010, "none") == ""  # it looks every 15 seconds
    assert at(10_020, "none") == "  answers m: none of 1.0, 2.0; waiting since 0 s\n"
    assert at(10_040, "none") == ""  # it says so every 30 seconds
    assert at(10_060, "none") == "  answers m: none of 1.0, 2.0; waiting since 40 s\n"
    assert at(10_076, "") == ""
    assert at(10_096, "none") == "  answers m: none of 1.0, 2.0; waiting since 0 s\n"
    with pytest.raises(StageError, match=r"answers m: none of 1.0, 2.0; waited 60 s .*run the same command again"):
        at(10_156, "none")
