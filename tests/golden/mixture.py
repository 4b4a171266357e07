"""Compares all_20k_uniform with mixture.json: order, quotas, validation rows, in the paper's way and raycalib's."""

from collections import Counter
from typing import Any

import numpy as np

from raycalib.sources.drawing.mixture import (
    TRAIN_ROWS,
    VALIDATION_ROWS,
    even_quotas,
    paper_train_quotas,
    paper_validation,
)
from raycalib.sources.hub import hub_source, mixture_sources
from tests.golden.tally import Tally

SEED = 137
HASH_ORDER = "the mixture's order in oe is sorted; the paper's depends on PYTHONHASHSEED"
REDISTRIBUTED = "the mixture's train quotas: what small sources and the division leave over goes to the others"
ALL_VALIDATE = "the mixture's validation rows come from all sources, not only from those listed first"


def compare_mixture(golden: dict[str, Any], tally: Tally) -> None:
    """Every part of mixture.json that is not a text."""
    defaults = golden["rules"]["defaults"]
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
    for number, run in enumerate(golden["runs"]):
        compare_run(f"mixture.json/runs/{number}", run, tally)
    compare_arithmetic(golden["hub_arithmetic"], tally)


def names_of(style: str) -> list[str]:
    """The mixture's sources in raycalib's order."""
    return [source.name for source in mixture_sources(style)]


def compare_run(where: str, run: dict[str, Any], tally: Tally) -> None:
    """One run on small sets, each of a known size."""
    order, sizes = run["dataset_order"], run["sizes_after_loader"]
    reason = HASH_ORDER if run["prompt_style"] == "oe" else None
    tally.compare(f"{where}/order", names_of(run["prompt_style"]), order, reason)
    for name in order:
        has = [split in hub_source(name).splits for split in ("train", "validation", "test")]
        tally.compare(f"{where}/{name}: its splits", has, [size is not None for size in sizes[name]])
    train = {name: sizes[name][0] for name in order if sizes[name][0] is not None}
    golden_train = {name: n for name, n in run["train_rows_by_dataset"].items() if name in train}
    exact = paper_train_quotas(train, run["max_n"])
    tally.compare(f"{where}/paper_exact/train", exact, golden_train)
    for name, rows in run["train_trace_first_index_per_dataset"].items():
        tally.compare(f"{where}/paper_exact/train/{name}", list(range(exact.get(name, 0)))[: len(rows)], rows)
    reason = REDISTRIBUTED if sum(golden_train.values()) < min(run["max_n"], sum(train.values())) else None
    tally.compare(f"{where}/train", even_quotas(train, run["max_n"]), golden_train, reason)
    validation = {name: sizes[name][1] for name in order if sizes[name][1] is not None}
    rows = [tuple(row) for row in run["val_trace_[dataset,index]"]]
    found = paper_validation(validation, SEED, run["max_n"], run["max_val_n"])
    tally.compare(f"{where}/paper_exact/validation", found, rows)
    quotas = even_quotas(validation, run["max_val_n"])
    golden_quotas = Counter(name for name, _ in rows)
    tally.compare(f"{where}/validation", quotas, {name: golden_quotas[name] for name in quotas}, ALL_VALIDATE)


def compare_arithmetic(golden: dict[str, Any], tally: Tally) -> None:
    """The same rules with the sizes of the real datasets."""
    for style, part in (("choice", "choice"), ("oe", "oe_sorted_order")):
        where, expected = f"mixture.json/hub_arithmetic/{style}", golden[part]
        train, validation = (
            {name: golden[sizes][name] for name in names_of(style) if name in golden[sizes]}
            for sizes in ("train_sizes_used", "val_sizes_used")
        )
        tally.compare(f"{where}/sources", len(train), expected["datasets_with_train"])
        tally.compare(f"{where}/paper_exact/train", paper_train_quotas(train), expected["selected_train"])
        tally.compare(f"{where}/train", even_quotas(train, TRAIN_ROWS), expected["selected_train"], REDISTRIBUTED)
        inside = Counter(name for name, _ in paper_validation(validation, SEED))
        rows = {name: kept for name, _, kept in expected["val_[dataset,proportional_n,n_inside_first_2000]"]}
        tally.compare(f"{where}/paper_exact/validation", {name: inside[name] for name in validation}, rows)
        tally.compare(f"{where}/validation", even_quotas(validation, VALIDATION_ROWS), rows, ALL_VALIDATE)
