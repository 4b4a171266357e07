"""What comes out of a step changes only together with a version in its key. No Ray."""

from pathlib import Path

import pytest

from tests.steps import golden_outputs
from tests.steps.golden_outputs import Golden, clear_offset, fault, hash_of, output_of, recorded, versions_of
from tests.steps.small_outputs import OUTPUTS


@pytest.mark.parametrize("step", OUTPUTS)
def test_a_changed_output_has_a_raised_version(step: str, tmp_path: Path) -> None:
    wrong = fault(step, output_of(step, tmp_path), versions_of(step), recorded().get(step))
    assert not wrong, wrong


def test_all_that_is_recorded_is_of_a_step() -> None:
    assert list(recorded()) == list(OUTPUTS)


def test_what_is_wrong_says_what_to_do() -> None:
    output = {"rows": [["yes", 1, 0.25], [None, -3.5e-7]]}
    offset = clear_offset(output)
    golden = Golden({"f.py VERSION": 1}, offset, hash_of(output, offset))
    assert fault("s", output, {"f.py VERSION": 1}, golden) == ""
    for changed in ({"rows": [["no", 1, 0.25], [None, -3.5e-7]]}, {"rows": [["yes", 1, 0.27], [None, -3.5e-7]]}):
        assert "step s has changed: raise one of f.py VERSION and run" in fault(
            "s", changed, {"f.py VERSION": 1}, golden
        )
    assert "was raised" in fault("s", output, {"f.py VERSION": 2}, golden)  # the hash is of another version
    assert "nothing is recorded" in fault("s", output, {"f.py VERSION": 2}, None)


def test_noise_of_another_cpu_gives_the_same_hash() -> None:
    output = [0.123 * number for number in range(1, 30)]
    offset = clear_offset(output)
    for noise in (1e-5, -1e-5, 5e-4):
        assert hash_of([number * (1 + noise) for number in output], offset) == hash_of(output, offset)
    assert hash_of([number * 1.06 for number in output], offset) != hash_of(output, offset)


def test_the_generator_records_raised_versions_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    version, value = [1], ["a"]
    monkeypatch.setattr(golden_outputs, "FILE", tmp_path / "golden.json")
    monkeypatch.setattr(golden_outputs, "OUTPUTS", {"s": lambda place: value[0]})
    monkeypatch.setattr(golden_outputs, "VERSIONS", {"s": {"f.py VERSION": lambda: version[0]}})
    assert golden_outputs.record(tmp_path, said.append)
    value[0] = "b"
    before = (tmp_path / "golden.json").read_text()
    assert not golden_outputs.record(tmp_path, said.append)
    assert (tmp_path / "golden.json").read_text() == before
    version[0] = 2
    assert golden_outputs.record(tmp_path, said.append)
    assert (tmp_path / "golden.json").read_text() != before
    assert [line.partition(":")[0] for line in said] == ["s", "what comes out of step s has changed", "s"]
