"""Compares all_20k_uniform with mixture.json: order, quotas, validation rows, in the paper's way and raycalib's."""

from collections import Counter
from collections.abc import Mapping
import hashlib
from typing import Any

import numpy as np

from raycalib.sources.drawing.mixture import (
    TRAIN_ROWS,
    VALIDATION_ROWS,
    even_quotas,
    paper_train_quotas,
    paper_validation,
)
from raycalib.sources.hub import HubSource, hub_source, mixture_sources, read_split, render
from tests.golden.tally import Tally

SEED = 137
HASH_ORDER = "the mixture's order in oe is sorted; the paper's depends on PYTHONHASHSEED"
REDISTRIBUTED = "the mixture's train quotas: what small sources and the division leave over goes to the others"
ALL_VALIDATE = "the mixture's validation rows come from all sources, not only from those listed first"

REMARKS = "mixture.json: remarks and rules in words"
NO_TEST = "mixture.json: that the paper's mixture has no test split; raycalib's runs are tested on sources of their own"
NO_ROWS = "mixture.json/val_row_context_sha: contexts of rows that prompts.json does not have"
DRAWS_ANSWERS = "mixture.json: whether answers are drawn in place of a model's, which raycalib never does"

LEFT_OUT = dict.fromkeys(
    ("about", "choice_order_is_deterministic", "choice_order_rule", "oe_order_is_deterministic", "oe_order_rule"),
    REMARKS,
)
READ = {
    "choice_order",
    "oe_sorted",
    "oe_order_by_PYTHONHASHSEED",
    "rules",
    "hub_arithmetic",
    "np_choice_probe",
    "runs",
}
RULES_LEFT_OUT = dict.fromkeys(("train", "validation", "test", "max_token_length"), REMARKS)
RUN_READ = {
    "prompt_style",
    "max_n",
    "max_val_n",
    "dataset_order",
    "sizes_after_loader",
    "train_n",
    "val_n",
    "train_rows_by_dataset",
    "train_trace_first_index_per_dataset",
    "val_trace_[dataset,index]",
    "val_row_context_sha",
}
RUN_LEFT_OUT = {"test": NO_TEST, "with_query_label": DRAWS_ANSWERS}
SHA_DIGITS = 12
ROWS_ENOUGH = 100


def compare_mixture(golden: dict[str, Any], datasets: Mapping[str, Any], tally: Tally) -> None:
    """Every part of mixture.json; ``datasets`` of prompts.json hold the rows that its runs were made of."""
    tally.account("mixture.json", golden, READ, LEFT_OUT)
    tally.account("mixture.json/rules", golden["rules"], ("defaults",), RULES_LEFT_OUT)
    defaults = golden["rules"]["defaults"]
    tally.account("mixture.json/rules/defaults", defaults, ("max_n", "max_val_n"), {"seed": REMARKS})
    tally.compare("mixture.json/max_n", TRAIN_ROWS, defaults["max_n"])
    tally.compare("mixture.json/max_val_n", VALIDATION_ROWS, defaults["max_val_n"])
    for n, expected in golden["np_choice_probe"].items():
        ours = np.random.RandomState(SEED).permutation(int(n))[: len(expected)].tolist()
        tally.compare(f"mixture.json/np_choice_probe/{n}", ours, expected)
    tally.compare("mixture.json/choice_order", names_of("choice"), golden["choice_order"])
    tally.compare("mixture.json/oe_sorted", names_of("oe"), golden["oe_sorted"])
    for hash_seed, orders in golden["oe_order_by_PYTHONHASHSEED"].items():
        for order in orders:
            where = f"mixture.json/oe_order/{hash_seed}"
            tally.compare(f"{where}: names", names_of("oe"), sorted(order))
            tally.compare(where, names_of("oe"), order, HASH_ORDER)
    raw = {name: dataset["hub_rows"] for dataset in datasets.values() for name in dataset["registered"]}
    for number, run in enumerate(golden["runs"]):
        where = f"mixture.json/runs/{number}"
        tally.account(where, run, RUN_READ, RUN_LEFT_OUT)
        compare_train(where, run, tally)
        compare_validation(where, run, raw, tally)
    compare_arithmetic(golden["hub_arithmetic"], tally)


def names_of(style: str) -> list[str]:
    """The mixture's sources in raycalib's order."""
    return [source.name for source in mixture_sources(style)]


def compare_train(where: str, run: dict[str, Any], tally: Tally) -> None:
    """The order and train rows of one run on small sets, each of a known size."""
    order, sizes = run["dataset_order"], run["sizes_after_loader"]
    reason = HASH_ORDER if run["prompt_style"] == "oe" else None
    tally.compare(f"{where}/order", names_of(run["prompt_style"]), order, reason)
    for name in order:
        has = [split in hub_source(name).splits for split in ("train", "validation", "test")]
        tally.compare(f"{where}/{name}: its splits", has, [size is not None for size in sizes[name]])
    train = {name: sizes[name][0] for name in order if sizes[name][0] is not None}
    golden = {name: n for name, n in run["train_rows_by_dataset"].items() if name in train}
    exact, even = paper_train_quotas(train, run["max_n"]), even_quotas(train, run["max_n"])
    tally.compare(f"{where}/paper_exact/train", exact, golden)
    tally.compare(f"{where}/paper_exact/train_n", sum(exact.values()), run["train_n"])
    for name, rows in run["train_trace_first_index_per_dataset"].items():
        tally.compare(f"{where}/paper_exact/train/{name}", list(range(exact.get(name, 0)))[: len(rows)], rows)
    reason = REDISTRIBUTED if run["train_n"] < min(run["max_n"], sum(train.values())) else None
    tally.compare(f"{where}/train", even, golden, reason)
    tally.compare(f"{where}/train_n", sum(even.values()), run["train_n"], reason)


def compare_validation(
    where: str, run: dict[str, Any], raw: Mapping[str, dict[str, list[dict[str, Any]]]], tally: Tally
) -> None:
    """The validation rows of one run: which, how many, and their contexts."""
    order, sizes = run["dataset_order"], run["sizes_after_loader"]
    validation = {name: sizes[name][1] for name in order if sizes[name][1] is not None}
    rows = [(str(name), int(index)) for name, index in run["val_trace_[dataset,index]"]]
    found = paper_validation(validation, SEED, run["max_n"], run["max_val_n"])
    tally.compare(f"{where}/paper_exact/validation", found, rows)
    tally.compare(f"{where}/paper_exact/val_n", len(found), run["val_n"])
    quotas, golden_quotas = even_quotas(validation, run["max_val_n"]), Counter(name for name, _ in rows)
    tally.compare(f"{where}/validation", quotas, {name: golden_quotas[name] for name in quotas}, ALL_VALIDATE)
    tally.compare(f"{where}/val_n", sum(quotas.values()), run["val_n"])
    contexts = {name: contexts_of(hub_source(name), run["prompt_style"], raw[name]) for name in {*dict(rows)} & {*raw}}
    for (name, index), expected in zip(rows, run["val_row_context_sha"], strict=True):
        if name in contexts:
            ours = hashlib.sha256(contexts[name][index].encode()).hexdigest()[:SHA_DIGITS]
            tally.compare(f"{where}/paper_exact/context/{name}/{index}", ours, expected)
        else:
            tally.leave_out(NO_ROWS)


def contexts_of(source: HubSource, style: str, hub_rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The contexts of the validation rows that the runs were made of, as read under ``paper_exact``.

    They are those of prompts.json over and over, with their number behind the first text that is no id; arc's and
    arc_challenge's, which are the same there, begin with the name of their configuration.
    """
    given = hub_rows[source.splits["validation"]]
    rows = [numbered(given[index % len(given)], index, source) for index in range(ROWS_ENOUGH)]
    items = read_split(source, rows, seed=SEED, paper_exact=True).items
    return [render(source, item, style).context for item in items]


def numbered(row: dict[str, Any], number: int, source: HubSource) -> dict[str, Any]:
    """A row that can be told from its repetitions."""
    column = next(name for name, value in row.items() if isinstance(value, str) and name != "id")
    before = f"{source.config}: " if source.name.startswith("arc") else ""
    return row | {column: f"{before}{row[column]} [#{number}]"}


def compare_arithmetic(golden: dict[str, Any], tally: Tally) -> None:
    """The same rules with the sizes of the real datasets."""
    parts = {"choice": "choice", "oe": "oe_sorted_order"}
    inputs = {"train_sizes_used", "val_sizes_used"}
    tally.account("mixture.json/hub_arithmetic", golden, {*parts.values(), *inputs}, {})
    for style, part in parts.items():
        where, expected = f"mixture.json/hub_arithmetic/{style}", golden[part]
        train, validation = (
            {name: golden[sizes][name] for name in names_of(style) if name in golden[sizes]}
            for sizes in ("train_sizes_used", "val_sizes_used")
        )
        compare_real_sizes(where, train, validation, expected, tally)


def compare_real_sizes(
    where: str, train: dict[str, int], validation: dict[str, int], expected: dict[str, Any], tally: Tally
) -> None:
    """Quotas of one style in both ways."""
    triples = "val_[dataset,proportional_n,n_inside_first_2000]"
    read = {"datasets_with_train", "quota", "selected_train", "total_train", triples}
    tally.account(where, expected, read, {})
    exact, even = paper_train_quotas(train), even_quotas(train, TRAIN_ROWS)
    tally.compare(f"{where}/sources", len(train), expected["datasets_with_train"])
    tally.compare(f"{where}/paper_exact/quota", max(exact.values()), expected["quota"])
    tally.compare(f"{where}/paper_exact/train", exact, expected["selected_train"])
    tally.compare(f"{where}/paper_exact/total_train", sum(exact.values()), expected["total_train"])
    tally.compare(f"{where}/train", even, expected["selected_train"], REDISTRIBUTED)
    tally.compare(f"{where}/total_train", sum(even.values()), expected["total_train"], REDISTRIBUTED)
    for column, wanted in ((1, TRAIN_ROWS), (2, VALIDATION_ROWS)):
        found = Counter(name for name, _ in paper_validation(validation, SEED, wanted=wanted))
        rows = {triple[0]: triple[column] for triple in expected[triples]}
        tally.compare(f"{where}/paper_exact/{triples}/{column}", {name: found[name] for name in validation}, rows)
        if wanted == VALIDATION_ROWS:
            tally.compare(f"{where}/validation", even_quotas(validation, VALIDATION_ROWS), rows, ALL_VALIDATE)
