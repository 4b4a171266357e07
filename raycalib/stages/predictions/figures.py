"""Figures and curves of predictions, computed in parallel on Ray and kept; the same again costs nothing."""

from collections.abc import Iterator, Mapping, Sequence
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from raycalib.evaluation.figures import figures, reliability, risk_coverage, scored_columns, task_figures
from raycalib.records import PREDICTION, Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import ShardProgress
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.lines.worker_streams import clean_errors, clean_streams
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.storage import Location, Manifest, read_table, write_manifest

VERSION = 1
"""Goes up where other figures come out of the same predictions, or more of them; they are then computed again."""

TEST, FRESH = "test", "test_fresh_entities"
FIGURES_NAME = "figures.json"
SEED = 137


def run_figures(
    predictions: Sequence[StageOutput], n_resamples: int, out: Location, cluster: Cluster
) -> list[StageOutput]:
    """The figures of each of the predictions; ``cells_of`` reads them.

    Args:
        predictions: of one combo and set each.
        n_resamples: of the bootstrap.
        out: the run's directory.
        cluster: where they are computed.
    """
    identity = {"version": VERSION, "n_resamples": n_resamples, "seed": SEED}
    keys = [stage_key("figures", identity, [output.key]) for output in predictions]
    places = [
        stage_place(out, "figures", output.place.name.rpartition("-")[0], key)
        for output, key in zip(predictions, keys, strict=True)
    ]
    found = [finished(place, key) for place, key in zip(places, keys, strict=True)]
    missing = [number for number, output in enumerate(found) if output is None]
    for number in missing:
        title = f"figures {places[number].name.rpartition('-')[0]}"
        say_why_again(places[number], title, identity, (predictions[number].key,))
    for number, cells in _computed([predictions[number] for number in missing], n_resamples, cluster):
        index = missing[number]
        places[index].write_json(FIGURES_NAME, finite(cells))
        manifest = Manifest(
            stage="figures",
            key=keys[index],
            config=identity,
            inputs=(predictions[index].key,),
            counts={"in": predictions[index].manifest.counts["out"], "cells": len(cells)},
        )
        write_manifest(places[index], manifest, besides=(FIGURES_NAME,))
    outputs = []
    for place, key, known in zip(places, keys, found, strict=True):
        output = known or finished(place, key)
        assert output is not None, "it was just written"
        outputs.append(StageOutput(place=place, manifest=output.manifest, was_done=known is not None))
    return outputs


def cells_of(output: StageOutput) -> list[dict[str, Any]]:
    """Figures and curves, one record for each method and split."""
    cells: list[dict[str, Any]] = output.place.read_json(FIGURES_NAME)
    return cells


def _computed(predictions: Sequence[StageOutput], n_resamples: int, cluster: Cluster) -> Any:
    """Each output's number and cells, as soon as all of its shards are done."""
    if not predictions:
        return
    cluster.connect()
    shards = [(number, output.place, name) for number, output in enumerate(predictions) for name in output.shards]
    progress = ShardProgress("figures", len(shards))
    found: dict[int, list[dict[str, Any]]] = {}
    open_shards = [len(output.shards) for output in predictions]
    for index, cells in _as_computed(shards, n_resamples):
        found[index] = cells
        number = shards[index][0]
        open_shards[number] -= 1
        progress.add(sum(cell["summary"]["n"] for cell in cells), 0)
        if not open_shards[number]:
            mine = [index for index, shard in enumerate(shards) if shard[0] == number]
            yield number, [cell for index in mine for cell in found[index]]


def _as_computed(
    shards: Sequence[tuple[int, Location, str]], n_resamples: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Each shard's index and cells, as they come; no more are asked for at once than there are processors.

    They take seconds: a cluster that grows by what is asked for would start nodes that come when all is done.
    """
    todo, waiting = list(reversed(range(len(shards)))), dict[Any, int]()
    while todo or waiting:
        while todo and len(waiting) < max(1, int(ray.cluster_resources().get("CPU", 0))):
            _, place, name = shards[index := todo.pop()]
            waiting[_shard_cells.remote(place, name, n_resamples)] = index
        for reference in ray.wait(list(waiting))[0]:
            yield waiting.pop(reference), ray.get(reference)


@ray.remote(num_cpus=1, max_retries=3)
def _shard_cells(place: Location, name: str, n_resamples: int) -> list[dict[str, Any]]:
    clean_streams()
    with clean_errors():
        return table_cells(read_table(place, name), n_resamples)


def shard_cells(rows: list[Row], n_resamples: int) -> list[dict[str, Any]]:
    """``table_cells`` of plain rows."""
    return table_cells(pa.Table.from_pylist(rows, schema=PREDICTION), n_resamples)


def table_cells(rows: pa.Table, n_resamples: int) -> list[dict[str, Any]]:
    """Figures and curves of one method of one combo on its set; of test also those of its fresh entities."""
    cells = []
    for split in pc.unique(rows["split"]).to_pylist():
        of_split = rows.filter(pc.equal(rows["split"], split))
        cells.append(_cell(of_split, split, n_resamples))
        fresh = of_split.filter(of_split["fresh_entity"])
        if split == TEST and len(fresh):
            cells.append(_cell(fresh, FRESH, n_resamples))
    return cells


def _cell(rows: pa.Table, split: str, n_resamples: int) -> dict[str, Any]:
    numbers = [rows[name].cast(pa.float64()).to_numpy() for name in ("query_label", "p_correct", "logit")]
    data = scored_columns(*numbers, *(rows[name].to_numpy().astype(str) for name in ("task", "group")))
    name = {column: rows[column][0].as_py() for column in ("model", "style", "method")} | {"split": split}
    n = len(data.labels)
    curves = n > 0 and split != FRESH
    return {
        "summary": name | figures(data, n_resamples, seed=SEED),
        "reliability": name | {"n": n} | reliability(data) if curves else None,
        "risk_coverage": name | {"n": n} | risk_coverage(data) if curves else None,
        "tasks": [name, task_figures(data)] if curves else None,
    }


def finite(value: Any) -> Any:
    """The value with None for numbers that are NaN or infinite, at any depth: JSON has no words for them."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
