"""Compares raycalib's texts and mixture with golden values of the paper's own code: ``make golden``.

Every text is made twice. With ``paper_exact`` it must equal the golden one; without, it must too, unless one of the
deliberate differences below explains it. Prints each difference on a line, what is explained with its reason and count,
and last a line of JSON. The golden files are data from outside the repository and are not copied into it.
"""

import argparse
from collections.abc import Sequence
import hashlib
import json
from pathlib import Path
import sys
from typing import Any, NamedTuple

from raycalib.prompts import Example
from raycalib.sources.hub import (
    MMLU_PRO_CATEGORIES,
    MMLU_TASKS,
    HubSource,
    Item,
    Refusal,
    convert_row,
    few_shot_header,
    hub_source,
    read_split,
    render,
)
from tests.golden.mixture import compare_mixture
from tests.golden.queries import compare_queries, compare_tokens
from tests.golden.tally import Tally

DEFAULT_DIRECTORY = Path("../shared/golden")
NAMES = ("prompts", "query", "mixture")
SPLITS = ("train", "validation", "test")

NOT_DELIVERED = "refused here, and left out by the paper's own loader as well"
OWN_SHOT = "a row is never its own few-shot example"
SHUFFLED = "truthful_qa: the options are in a seeded order, so that the right one is not always (a)"
PARSED = "math_qa: options with commas and brackets are parsed right, so rows, positions and few-shot pools differ"
UNLABELLED = "commonsense_qa: test rows have no labels and are refused"


class Case(NamedTuple):
    """One source in one style, read in one of the two ways."""

    source: HubSource
    style: str
    paper_exact: bool
    hub_rows: dict[str, list[dict[str, Any]]]
    seed: int

    def items(self, hub_split: str) -> Sequence[Item]:
        rows = self.hub_rows[hub_split]
        return read_split(self.source, rows, seed=self.seed, paper_exact=self.paper_exact).items

    def name(self, *parts: object) -> str:
        way = ["paper_exact"] if self.paper_exact else []
        return "/".join(map(str, [self.source.name, self.style, *way, *parts]))

    def reason(self, split: str) -> str | None:
        """What explains any difference of this source, where it is not read as the paper does."""
        if self.paper_exact:
            return None
        if self.source.name == "math_qa":
            return PARSED
        if self.source.name == "truthful_qa" and self.style == "choice":
            return SHUFFLED
        if self.source.name == "commonsense_qa" and split == "test":
            return UNLABELLED
        return None


def compare_prompts(golden: dict[str, Any], tally: Tally) -> None:
    """Every source, style, split and k of prompts.json."""
    for dataset in golden["datasets"].values():
        for name, registered in dataset["registered"].items():
            compare_registration(hub_source(name), registered, tally)
        for style, texts in dataset["styles"].items():
            for name, by_k in texts["e2e"].items():
                for paper_exact in (True, False):
                    case = Case(hub_source(name), style, paper_exact, dataset["hub_rows"], golden["seed"])
                    if name == next(iter(texts["e2e"])):
                        compare_samples(case, texts["format_sample"], delivered_contexts(texts["e2e"]), tally)
                    for k, by_split in by_k.items():
                        if k != "with_query_label":
                            compare_split_texts(case, k, by_split, tally)


def compare_registration(source: HubSource, registered: dict[str, Any], tally: Tally) -> None:
    """Whether the source is for evaluation only, and its table of categories."""
    tally.compare(f"{source.name}/evaluation_only", source.evaluation_only, registered["eval_only"])
    categories = registered["attrs"].get("task_categories")
    if categories is not None:
        ours = MMLU_TASKS if isinstance(categories, dict) else list(MMLU_PRO_CATEGORIES)
        tally.compare(f"{source.name}/task_categories", ours, categories)


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
        row = case.hub_rows[hub_split][number]
        item = convert_row(case.source, row, number, seed=case.seed, paper_exact=case.paper_exact)
        unusable = case.style not in case.source.styles or isinstance(item, Refusal)
        if "raises" in sample:
            tally.compare(where, unusable, True)
        elif isinstance(item, Refusal):
            tally.compared += 1
            reason = case.reason(hub_split) if sample["context"] in delivered else NOT_DELIVERED
            tally.differ(f"{where}: refused ({item.reason})", reason)
        else:
            compare_example(case, where, render(case.source, item, case.style), sample, case.reason(hub_split), tally)


def compare_split_texts(case: Case, k: str, by_split: dict[str, Any], tally: Tally) -> None:
    """The rows that the paper's loader returns, with k few-shot examples."""
    if "raises" in by_split:
        tally.compare(case.name("k", k), case.style in case.source.styles, False)
        return
    for split in SPLITS:
        golden, hub_split = by_split[split], case.source.splits.get(split)
        where = case.name("k", k, split)
        if golden is None or hub_split is None:
            tally.compare(f"{where}: the split exists", hub_split is not None, golden is not None)
            continue
        items = case.items(hub_split)
        tally.compare(f"{where}: rows", len(items), golden["n"], case.reason(split))
        if len(items) == golden["n"]:
            shots = case.source.shots_in(split) if k == "default" else int(k)
            compare_rows(case, where, items, golden["rows"], shots, tally)


def compare_rows(
    case: Case, where: str, items: Sequence[Item], rows: list[dict[str, Any]], k: int, tally: Tally
) -> None:
    """The stored rows of one split, in order; the golden file keeps the first two where texts are long."""
    pool = case.items(case.source.shots_from) if k else ()
    for index, (item, row) in enumerate(zip(items, rows, strict=False)):
        header = few_shot_header(
            case.source, item, case.style, pool=pool, k=k, seed=case.seed, paper_exact=case.paper_exact
        )
        example = render(case.source, item, case.style, header=header)
        reason = case.reason(where.rpartition("/")[2])
        if reason is None and not case.paper_exact and example.context in row["prompt"]:
            reason = OWN_SHOT
        compare_example(case, f"{where}/{index}", example, row, reason, tally)


def compare_example(
    case: Case, where: str, example: Example, row: dict[str, Any], reason: str | None, tally: Tally
) -> None:
    """Every text of one example that the golden file has."""
    text = example.answered(example.target)
    ours = {
        "context": example.context,
        "target_prompt": example.target_prompt,
        "target": example.target,
        "prompt": example.prompt,
        "str": text,
        "str_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    for name in ours.keys() & row.keys():
        tally.compare(f"{where}/{name}", ours[name], row[name], reason)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the differences; 0 without, 1 with, 2 where the golden files cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY, help="holds the golden files")
    directory = parser.parse_args(arguments).directory
    tally = Tally()
    try:
        prompts, queries, mixture = (json.loads((directory / f"{name}.json").read_text()) for name in NAMES)
    except (OSError, ValueError) as error:
        print(
            f"golden: {error}; give the directory that holds {', '.join(f'{name}.json' for name in NAMES)}",
            file=sys.stderr,
        )
        return 2
    compare_prompts(prompts, tally)
    compare_queries(queries, tally)
    compare_tokens(queries, directory / "tiny_llama", tally)
    compare_mixture(mixture, tally)
    for line in tally.differences:
        print(line)
    for reason, count in sorted(tally.explained.items()):
        print(f"explained: {count} values: {reason}")
    print(json.dumps({"bench": "golden", "compared": tally.compared, "different": len(tally.differences)}))
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
