"""Which tokens of a batch the paper's collator takes for targets, and which raycalib does."""

from typing import Any

from raycalib.lm.window import TooLongError
from raycalib.tuning.batches import tuning_row
from tests.golden.batch_losses import REMARKS, mask_reason
from tests.golden.tally import Tally
from tests.golden.tuned import TunedModel, example_of, paper_kept

TOO_LONG = "tuning: a text that is too long loses the left of its context, or is refused; the paper cuts its right"
CASE = {
    "case",
    "rows",
    "model_max_length",
    "width",
    "nonpad",
    "labels_kept",
    "labels_kept_on_pad_positions",
    "true_target_tokens",
}
ANSWER = "x"


def compare_collator(golden: dict[str, Any], tuned: TunedModel, tally: Tally) -> None:
    """Batches with short, long and empty targets, and texts that are longer than the model reads."""
    where = "losses.json/collator_edge_cases"
    tally.account(where, golden, ("cases", "truncation_of_query"), {"why": REMARKS})
    for case in golden["cases"]:
        _compare_case(f"{where}/{case['case']}", case, tuned, tally)
    _compare_cut_query(f"{where}/truncation_of_query", golden, tuned, tally)


def _compare_case(where: str, case: dict[str, Any], tuned: TunedModel, tally: Tally) -> None:
    tally.account(where, case, CASE, {})
    most = case["model_max_length"]
    rows = tuned.rows({**fields, "output": ANSWER, "query_label": 0} for fields in case["rows"])
    lengths = [min(len(row.kl_ids), most) for row in rows]
    tally.compare(f"{where}/width", max(lengths), case["width"])
    tally.compare(f"{where}/nonpad", lengths, case["nonpad"])
    n_target, kept = [row.n_target for row in rows], paper_kept(rows, most)
    tally.compare(f"{where}/true_target_tokens", n_target, case["true_target_tokens"])
    tally.compare(f"{where}/paper_mask/labels_kept", kept, case["labels_kept"])
    on_padding = [max(0, n - length) for n, length in zip(kept, lengths, strict=True)]
    tally.compare(f"{where}/paper_mask/labels_kept_on_pad_positions", on_padding, case["labels_kept_on_pad_positions"])
    reason = mask_reason(rows) if max(len(row.kl_ids) for row in rows) <= most else TOO_LONG
    tally.compare(f"{where}/labels_kept", n_target, case["labels_kept"], reason)
    tally.compare(
        f"{where}/labels_kept_on_pad_positions", [0] * len(rows), case["labels_kept_on_pad_positions"], reason
    )


def _compare_cut_query(where: str, golden: dict[str, Any], tuned: TunedModel, tally: Tally) -> None:
    """The paper's cut of a query on its right, which raycalib refuses to make."""
    cut = golden["truncation_of_query"]
    tally.account(where, cut, ("model_max_length", "decoded"), {"note": REMARKS})
    most = cut["model_max_length"]
    fields = next(case["rows"][0] for case in golden["cases"] if case["model_max_length"] == most)
    (row,) = tuned.rows([{**fields, "output": ANSWER, "query_label": 0}])
    decoded = tuned.tokenizer.decode(row.query_ids[:most])
    tally.compare(f"{where}/cut on the right", decoded, cut["decoded"])
    tally.compare(where, _read(tuned, fields, most), cut["decoded"], TOO_LONG)


def _read(tuned: TunedModel, fields: dict[str, Any], most: int) -> str | None:
    """What raycalib reads of a query with so many tokens at most; None where it refuses it."""
    try:
        row, _ = tuning_row(tuned.tokenizer, "0", example_of(fields), ANSWER, 0, most)
    except TooLongError:
        return None
    return tuned.tokenizer.decode(row.query_ids)
