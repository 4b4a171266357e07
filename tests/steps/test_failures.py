"""What fails is kept with its reason, said once, and stops a run only where nothing is left."""

import pytest

from raycalib.errors import DataError, ModelError
from raycalib.lm.names import ModelSource
from raycalib.stages.combo import Combo
from raycalib.steps.failures import Failures

MODEL = ModelSource(name="m", path="m", is_local=True)
OE, CHOICE = Combo(model=MODEL, style="oe"), Combo(model=MODEL, style="choice")


def test_a_combo_a_set_and_a_method_are_lost_each_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    failures = Failures()
    failures.add(OE, DataError("two\n  lines"), method="lora_prompt")
    assert not failures.has_lost(OE)
    failures.add(OE, DataError("no rows"), question_set="mmlu")
    failures.add(OE, DataError("not loaded"), question_set="mmlu", method="lora")
    assert not failures.has_lost(OE)
    assert failures.of_methods(OE, "") == {"lora_prompt": "two lines"}
    assert failures.of_methods(OE, "mmlu") == {"lora_prompt": "two lines", "lora": "not loaded"}
    assert failures.of_methods(CHOICE, "mmlu") == {}
    failures.add(OE, ModelError("gone"))
    assert failures.has_lost(OE)
    assert not failures.has_lost(CHOICE)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "  m oe lora_prompt: failed: two lines"
    assert said[1] == "  m oe mmlu: failed: no rows"
    assert [record["set"] for record in failures.records()] == ["", "mmlu", "mmlu", ""]


def test_a_reason_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    failures = Failures()
    for combo in (OE, CHOICE):
        failures.add(combo, ModelError("its weights are not there"))
    assert capsys.readouterr().out.splitlines()[1] == "  m choice: failed: as above"


def test_a_run_stops_by_the_first_error_where_no_combo_is_left() -> None:
    failures = Failures()
    failures.stop_if_none([])
    failures.add(OE, ModelError("first"))
    failures.stop_if_none([CHOICE])
    failures.add(CHOICE, DataError("second"))
    with pytest.raises(ModelError, match="first"):
        failures.stop_if_none([])
