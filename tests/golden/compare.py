"""Compares texts, mixture, losses and gradients with golden values of the paper's own code: ``make golden``.

Every text is made twice. With ``paper_exact`` it must equal the golden one; without, it must too, unless one of the
deliberate differences of ``texts`` explains it. Losses are computed twice, too (see ``losses``). Prints each difference
on a line, what is explained and what raycalib has nothing to hold against with its reason and count, and last a line
of JSON. A value of the files that is none of these is a difference. The golden files are data from outside the
repository and are not copied into it.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
from typing import Any

from raycalib.sources.hub import hub_source
from tests.golden.declarations import DATASET, DATASET_LEFT_OUT, REMARKS, compare_declaration, compare_split_map
from tests.golden.losses import compare_losses
from tests.golden.mixture import compare_mixture
from tests.golden.queries import compare_queries, compare_tokens
from tests.golden.tally import Tally
from tests.golden.texts import compare_style

DEFAULT_DIRECTORY = Path("../shared/golden")
NAMES = ("prompts", "query", "mixture", "losses")


def compare_prompts(golden: dict[str, Any], tally: Tally) -> None:
    """Everything in prompts.json but what is counted as not compared."""
    remarks = dict.fromkeys(("about", "environment"), REMARKS)
    tally.account("prompts.json", golden, ("seed", "split_map", "datasets"), remarks)
    names = [name for dataset in golden["datasets"].values() for name in dataset["registered"]]
    compare_split_map(golden.get("split_map", {}), names, tally)
    for key, dataset in golden["datasets"].items():
        tally.account(key, dataset, DATASET, DATASET_LEFT_OUT)
        for name in dataset["registered"]:
            compare_declaration(hub_source(name), dataset, tally)
        for style, texts in dataset["styles"].items():
            tally.account(f"{key}/{style}", texts, ("format_sample", "e2e"), {})
            for name in texts["e2e"]:
                compare_style(hub_source(name), style, dataset, name, golden["seed"], tally)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the differences; 0 without, 1 with, 2 where the golden files cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY, help="holds the golden files")
    directory = parser.parse_args(arguments).directory
    tally = Tally()
    try:
        prompts, queries, mixture, losses = (json.loads((directory / f"{name}.json").read_text()) for name in NAMES)
    except (OSError, ValueError) as error:
        print(
            f"golden: {error}; give the directory that holds {', '.join(f'{name}.json' for name in NAMES)}",
            file=sys.stderr,
        )
        return 2
    compare_prompts(prompts, tally)
    compare_queries(queries, tally)
    compare_tokens(queries, directory / "tiny_llama", tally)
    compare_mixture(mixture, prompts["datasets"], tally)
    compare_losses(losses, directory, tally)
    for line in tally.differences:
        print(line)
    for kind, counts in (("explained", tally.explained), ("not compared", tally.not_compared)):
        for reason, count in sorted(counts.items()):
            print(f"{kind}: {count} values: {reason}")
    counted = {"compared": tally.compared, "different": len(tally.differences)}
    counted |= {"explained": tally.explained.total(), "not_compared": tally.not_compared.total()}
    print(json.dumps({"bench": "golden", **counted}))
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
