"""The texts of prompts.json: every source, style, split and number of few-shot examples, field by field.

A row that raycalib reads otherwise than the paper is held against both: the golden text must be what raycalib makes of
it under ``paper_exact``, and a difference is explained only in the fields that the reason is about, in rows whose
reading differs.
"""

from collections.abc import Sequence
from dataclasses import replace
import hashlib
from typing import Any, NamedTuple

from raycalib.prompts import Example
from raycalib.sources.hub import HubSource, Item, Refusal, convert_row, convert_rows, few_shot_header, render
from raycalib.sources.reading import RawRow
from tests.golden.tally import Tally

SPLITS = ("train", "validation", "test")

NOT_DELIVERED = "refused here, and left out by the paper's own loader as well"
OWN_SHOT = "a row is never its own few-shot example"
SHUFFLED = "truthful_qa: the options are in a seeded order, so that the right one is not always (a)"
PARSED = "math_qa: options with commas and brackets are parsed right, so rows, positions and few-shot pools differ"
FINAL = "gsm8k: the right answer, in few-shot examples too, is the final one behind '####', not the whole solution"
UNLABELLED = "commonsense_qa: test rows have no labels and are refused"
DRAWN_ANSWERS = "prompts.json/with_query_label: answers that the paper's loader draws; raycalib's are a model's"

TEXTS = ("context", "target_prompt", "target", "prompt")
READ = {*TEXTS, "str", "str_sha256", "split", "i"}


class Case(NamedTuple):
    """One source in one style, read in one of the two ways."""

    source: HubSource
    style: str
    paper_exact: bool
    hub_rows: dict[str, list[dict[str, Any]]]
    seed: int

    def items(self, hub_split: str) -> dict[int, Item]:
        """The usable rows of a split, by their index in it."""
        raw = (RawRow(number, row) for number, row in enumerate(self.hub_rows[hub_split], start=1))
        found = convert_rows(self.source, raw, seed=self.seed, paper_exact=self.paper_exact)
        return {number: item for number, item in enumerate(found) if isinstance(item, Item)}

    def as_paper(self) -> "Case":
        """The same, read as the paper's code does."""
        return self._replace(paper_exact=True)

    def name(self, *parts: object) -> str:
        """What a difference is called."""
        way = ["paper_exact"] if self.paper_exact else []
        return "/".join(map(str, [self.source.name, self.style, *way, *parts]))

    def options_reason(self) -> str | None:
        """Why the options of some rows are not the paper's, where the source is not read as the paper does."""
        return None if self.paper_exact else {"math_qa": PARSED, "truthful_qa": SHUFFLED}.get(self.source.name)

    def refusal_reason(self, hub_split: str) -> str | None:
        """Why rows that the paper's loader delivers are refused."""
        unlabelled = not self.paper_exact and (self.source.name, hub_split) == ("commonsense_qa", "test")
        return UNLABELLED if unlabelled else None


class Reading(NamedTuple):
    """One row as raycalib reads it in a case, and what may be behind a difference of its texts."""

    item: Item
    example: Example
    as_paper: Item
    as_paper_example: Example
    shots_reason: str | None

    def reasons(self, case: Case) -> dict[str, str | None]:
        """The reason that each text may differ for; None where it may not."""
        choice = case.style == "choice"
        why = case.options_reason()
        is_final = bool(self.item.solution) and self.item.solution == self.as_paper_example.target
        moved = self.item.answer != self.as_paper.answer if choice else right(self.item) != right(self.as_paper)
        found = {
            "context": why if choice and self.item.options != self.as_paper.options else None,
            "target_prompt": None,
            "target": FINAL if is_final else why if moved else None,
            "prompt": self.shots_reason,
        }
        changed = [name for name in TEXTS if getattr(self.example, name) != getattr(self.as_paper_example, name)]
        behind = [found[name] for name in changed]
        whole = behind[0] if behind and None not in behind else None
        return found | {"str": whole, "str_sha256": whole}


def right(item: Item) -> str | None:
    """The text of the right option."""
    return None if item.answer is None else item.options[item.answer]


def without_options(context: str) -> str:
    """A context of the ``choice`` style up to its list of options."""
    return context.partition("\nChoices:\n")[0]


def compare_style(source: HubSource, style: str, dataset: dict[str, Any], name: str, seed: int, tally: Tally) -> None:
    """All texts of one registered source in one style, read in both ways."""
    texts = dataset["styles"][style]
    for paper_exact in (True, False):
        case = Case(source, style, paper_exact, dataset["hub_rows"], seed)
        if name == next(iter(texts["e2e"])):
            compare_samples(case, texts["format_sample"], delivered_contexts(texts["e2e"]), tally)
        for k, by_split in texts["e2e"][name].items():
            compare_splits(case, k, by_split, tally)


def delivered_contexts(by_name: dict[str, Any]) -> set[str]:
    """The contexts of all rows that the paper's loader delivers."""
    return {
        row["context"]
        for by_k in by_name.values()
        for by_split in by_k.values()
        for split in by_split.values()
        if isinstance(split, dict)
        for row in split["rows"]
        if "context" in row
    }


def compare_samples(case: Case, samples: list[dict[str, Any]], delivered: set[str], tally: Tally) -> None:
    """Direct calls of the paper's ``format_sample`` on every raw row, usable or not."""
    for sample in samples:
        hub_split, number = sample["split"], sample["i"]
        where = case.name("format_sample", hub_split, number)
        ours, as_paper = (
            convert_row(case.source, case.hub_rows[hub_split][number], number, seed=case.seed, paper_exact=exact)
            for exact in (case.paper_exact, True)
        )
        if "raises" in sample:
            unusable = case.style not in case.source.styles or isinstance(ours, Refusal)
            tally.compare(where, unusable, True)
        elif isinstance(ours, Refusal) or isinstance(as_paper, Refusal):
            tally.compared += 1
            refusal = ours if isinstance(ours, Refusal) else as_paper
            reason = case.refusal_reason(hub_split) if sample["context"] in delivered else NOT_DELIVERED
            tally.differ(f"{where}: refused ({getattr(refusal, 'reason', '')})", reason)
        else:
            examples = [render(case.source, item, case.style) for item in (ours, as_paper)]
            compare_example(case, where, Reading(ours, examples[0], as_paper, examples[1], None), sample, tally)


def compare_splits(case: Case, k: str, by_split: dict[str, Any], tally: Tally) -> None:
    """What the paper's loader returns with k few-shot examples, split by split."""
    if "raises" in by_split:
        tally.compare(case.name("k", k), case.style in case.source.styles, False)
        return
    tally.account(case.name("k", k), by_split, SPLITS, {})
    for split in SPLITS:
        golden, hub_split = by_split[split], case.source.splits.get(split)
        where = case.name("k", k, split)
        if golden is None or hub_split is None:
            tally.compare(f"{where}: the split exists", hub_split is not None, golden is not None)
        else:
            shots = case.source.shots_in(split) if k in ("default", "with_query_label") else int(k)
            compare_rows(case, where, hub_split, shots, golden, tally)


def compare_rows(case: Case, where: str, hub_split: str, k: int, golden: dict[str, Any], tally: Tally) -> None:
    """The rows of one split, in order; the golden file keeps the first two where texts are long."""
    paper, ours = case.as_paper(), case.items(hub_split)
    as_paper = paper.items(hub_split)
    reason = case.refusal_reason(hub_split) or (PARSED if case.options_reason() == PARSED else None)
    tally.compare(f"{where}: rows", len(ours), golden["n"], reason)
    if len(as_paper) != golden["n"]:
        return  # a difference already, in the paper's way
    pools = [list(way.items(case.source.shots_from).values()) if k else [] for way in (case, paper)]
    for index, ((number, item), row) in enumerate(zip(as_paper.items(), golden["rows"], strict=False)):
        if number in ours:
            reading = read_row(case, ours[number], item, pools, k)
            compare_example(case, f"{where}/{index}", reading, row, tally)
        else:
            tally.compared += 1
            tally.differ(f"{where}/{index}: refused", case.refusal_reason(hub_split))


def read_row(case: Case, ours: Item, as_paper: Item, pools: Sequence[list[Item]], k: int) -> Reading:
    """One row with its few-shot header, in the case's way and in the paper's."""
    examples = []
    for item, pool, exact in ((ours, pools[0], case.paper_exact), (as_paper, pools[1], True)):
        header = few_shot_header(case.source, item, case.style, pool=pool, k=k, seed=case.seed, paper_exact=exact)
        examples.append(render(case.source, item, case.style, header=header))
    reason = None
    if k and not case.paper_exact:
        asks_itself = without_options(examples[1].context) in examples[1].prompt
        others = pools[0] != pools[1] or ours.position != as_paper.position
        reason = OWN_SHOT if asks_itself else case.options_reason() if others else None
        if case.source.solution is not None and reason is None:
            whole = [whole_solution(case.source, item) for item in pools[0]]
            header = few_shot_header(case.source, ours, case.style, pool=whole, k=k, seed=case.seed)
            reason = FINAL if header == examples[1].prompt else None
    return Reading(ours, examples[0], as_paper, examples[1], reason)


def whole_solution(source: HubSource, item: Item) -> Item:
    """The item with its whole solution as the right answer."""
    return replace(item, texts={**item.texts, source.solution or "": item.solution})


def compare_example(case: Case, where: str, reading: Reading, row: dict[str, Any], tally: Tally) -> None:
    """Every text of one example that the golden file has, each with its own reason."""
    drawn = dict.fromkeys(("output", "query_label"), DRAWN_ANSWERS)
    if case.paper_exact:  # once of the two times
        tally.account(where, row, READ, drawn)
    example, reasons = reading.example, reading.reasons(case)
    text = example.answered(example.target)
    ours = {name: getattr(example, name) for name in TEXTS}
    ours |= {"str": text, "str_sha256": hashlib.sha256(text.encode()).hexdigest()}
    for name in ours.keys() & row.keys():
        tally.compare(f"{where}/{name}", ours[name], row[name], reasons[name])
    if reasons["context"] and "context" in row:
        stems = without_options(example.context), without_options(row["context"])
        tally.compare(f"{where}/context without options", *stems)
    if case.options_reason() == SHUFFLED:
        tally.compare(f"{where}/right option", right(reading.item), right(reading.as_paper))
        options = sorted(reading.item.options), sorted(reading.as_paper.options)
        tally.compare(f"{where}/options in any order", *options)
