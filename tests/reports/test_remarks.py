from typing import Any

from raycalib.reports import baseline_remarks


def _row(method: str, auroc: float | None, ece: float | None, split: str = "test") -> dict[str, Any]:
    combo = {"model": "llama2:7b", "style": "oe", "split": split}
    return combo | {"method": method, "auroc": {"value": auroc}, "ece": {"value": ece}}


TUNED = [_row("lora_prompt", 0.75, 0.08), _row("lora_prompt+temperature", 0.75, 0.04)]


def test_names_both_figures_of_each_win() -> None:
    rows = [_row("family_rate", 0.781, 0.0712), _row("family_rate+temperature", 0.781, 0.0312)]
    remarks = baseline_remarks([*TUNED, *rows, _row("zero_shot_query", 0.6, 0.3)])
    assert remarks == [
        "llama2:7b oe, test: family rate has the higher AUROC, 0.781 against 0.750 for LoRA + Prompt; "
        "family rate has the lower ECE, 0.071 against 0.080 for LoRA + Prompt; "
        "family rate + temperature has the lower ECE, 0.031 against 0.040 for LoRA + Prompt + temperature."
    ]


def test_ece_is_compared_alike_with_and_without_a_temperature() -> None:
    rows = [_row("answer_likelihood", 0.7, 0.085), _row("answer_likelihood+temperature", 0.7, 0.045)]
    assert baseline_remarks([*TUNED, *rows]) == []
    (remark,) = baseline_remarks([*TUNED, _row("answer_likelihood", 0.7, 0.06)])
    assert remark.endswith("answer likelihood has the lower ECE, 0.060 against 0.080 for LoRA + Prompt.")
    (remark,) = baseline_remarks([*TUNED, _row("answer_likelihood+temperature", 0.7, 0.03)])
    assert remark.endswith(
        "likelihood + temperature has the lower ECE, 0.030 against 0.040 for LoRA + Prompt + temperature."
    )


def test_given_adapters_are_compared_too_and_given_probes_are_not() -> None:
    given = [_row(f"{kind} mine", 0.6, 0.3) for kind in ("adapter", "probe")]
    (remark,) = baseline_remarks([*given, _row("family_rate", 0.7, 0.5)])
    assert remark == "llama2:7b oe, test: family rate has the higher AUROC, 0.700 against 0.600 for adapter mine."


def test_a_tie_is_no_win() -> None:
    rows = [_row("answer_likelihood", 0.75, 0.08), _row("answer_likelihood+temperature", 0.75, 0.04)]
    assert baseline_remarks([*TUNED, *rows]) == []


def test_close_figures_get_the_decimals_that_tell_them_apart() -> None:
    (remark,) = baseline_remarks([*TUNED, _row("family_rate", 0.75004, 0.5)])
    assert "0.75004 against 0.75000 for" in remark


def test_undefined_figures_beat_nothing_and_cannot_be_beaten() -> None:
    assert baseline_remarks([*TUNED, _row("family_rate", None, None)]) == []
    assert baseline_remarks([_row("lora_prompt", None, None), _row("family_rate", 0.9, 0.0)]) == []


def test_the_probe_is_no_baseline() -> None:
    assert baseline_remarks([*TUNED, _row("probe", 0.9, 0.01)]) == []


def test_one_line_per_combo_and_split() -> None:
    splits = ("mmlu", "heldout_families", "test", "test_fresh_entities")
    rows = [row | {"split": split} for split in splits for row in [*TUNED, _row("zero_shot_query", 0.8, 0.5)]]
    starts = [remark.split(":")[1] for remark in baseline_remarks(rows)]
    assert starts == ["7b oe, test", "7b oe, held-out families", "7b oe, mmlu"]
