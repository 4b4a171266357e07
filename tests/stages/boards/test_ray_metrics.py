"""Ray's metrics: nothing without Ray, and with it what the agent of a node exports for Prometheus."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
import re
import time
from types import SimpleNamespace
from typing import Any
import urllib.request

import pyarrow as pa
import pytest
import ray

from raycalib.records import Row
from raycalib.stages.boards import ray_metrics
from raycalib.stages.boards.ray_metrics import (
    JUDGE_COST,
    LOSS,
    METRICS,
    PROGRESS,
    ROWS,
    TOKENS,
    TRIALS,
    VAL_AUROC,
    VAL_ECE,
    VAL_NLL,
    RayMetric,
)
from raycalib.stages.boards.tuning_metrics import TuningMetrics
from raycalib.stages.pools.shard_map import ShardMap, ShardTarget
from raycalib.storage import Location, write_shard
from tests.stages.workers.test_tuning_log import EVALUATION, STEP

Told = list[tuple[RayMetric, float, dict[str, str]]]
WITHIN_S = 60.0
LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
TAG = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is recorded, as if there were Ray."""
    found: Told = []

    def made(metric: RayMetric) -> Any:
        def record(value: float, tags: dict[str, str]) -> None:
            assert set(tags) == set(metric.tags), "Ray refuses a record that lacks a tag"
            found.append((metric, value, tags))

        return SimpleNamespace(inc=record, set=record)

    monkeypatch.setattr(ray_metrics, "_is_there", lambda: True)
    monkeypatch.setattr(ray_metrics, "_made", made)
    return found


def test_names_and_descriptions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"raycalib_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total"), "Ray's exporter adds it to counters"
        assert metric.description
        assert metric.unit
    declared = {value for value in vars(ray_metrics).values() if isinstance(value, RayMetric)}
    assert declared == set(METRICS)


def test_without_ray_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_metrics, "_MADE", {})
    ray_metrics.count(ROWS, 3, stage="answers", model="m", outcome="done")
    ray_metrics.set_gauge(LOSS, 0.5, combo="c", trial="t")
    assert ray_metrics._MADE == {}


def test_what_says_nothing_is_not_recorded(told: Told) -> None:
    for value in (0, -1, float("nan"), float("inf")):
        ray_metrics.count(ROWS, value, stage="s", model="m", outcome="done")
    for unknown in (None, float("nan"), float("inf")):
        ray_metrics.set_gauge(LOSS, unknown, combo="c", trial="t")
    assert told == []
    ray_metrics.set_gauge(LOSS, 0, combo="c", trial="t")
    assert [value for _, value, _ in told] == [0]


def test_an_evaluation_is_shown_again_with_each_step_since_ray_forgets_it(told: Told) -> None:
    metrics = TuningMetrics("tiny oe", "tiny/oe", "tiny")
    metrics.observe_step(STEP)
    metrics.observe(EVALUATION)
    first, told[:] = list(told), []
    metrics.observe_step(replace(STEP, step=20, loss=1.25))
    of_stage, of_trial = {"stage": "tuned", "model": "tiny"}, {"combo": "tiny/oe", "trial": "tiny oe"}
    read = [
        (ROWS, 160, of_stage | {"outcome": "done"}),
        (TOKENS, 20_000, of_stage | {"kind": "read"}),
    ]
    evaluated = [(VAL_NLL, 0.6, of_trial), (VAL_ECE, 0.1, of_trial)]  # the AUROC is not defined
    assert first == [*read, (LOSS, 1.5, of_trial), (PROGRESS, 0.2, of_trial), *evaluated]
    assert told == [*read, (LOSS, 1.25, of_trial), (PROGRESS, 0.4, of_trial), *evaluated]


SCHEMA = pa.schema([("row_id", pa.string()), ("error", pa.string())])
JUDGED = pa.schema([*SCHEMA, ("retryable", pa.bool_()), ("unscored_reason", pa.string())])


class CountingWorker:
    """Fails one row, parks another, and counts as a judge does."""

    def __init__(self, config: None) -> None:
        pass

    def process(self, rows: list[Row]) -> list[Row]:
        said = {"retryable": False, "unscored_reason": ""}
        return [
            row | said | {"error": "bad" if row["row_id"] == "r0" else None, "retryable": row["row_id"] == "r1"}
            for row in rows
        ]

    def take_figures(self) -> dict[str, float]:
        return {"requests": 4, "retries": 0, "cost_usd": 0.25, "tokens_in": 90, "tokens_out": 7, "cached": 3}


def do_a_shard(place: Location) -> None:
    name = write_shard(place / "in", 0, [{"row_id": f"r{index}", "error": None} for index in range(5)], SCHEMA)
    target = ShardTarget(place / "in", place / "out", JUDGED, True, stage="labelled", model="llama2-7b")
    ShardMap(CountingWorker, None, [target])({"work": [0], "shard": [0], "name": [name]})


def test_a_shard_is_counted_once_it_is_written(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do_a_shard(Location(str(tmp_path)))
    tags = {"stage": "labelled", "model": "llama2-7b"}
    assert [(metric.name, value, given) for metric, value, given in told] == [
        ("raycalib_rows", 3, tags | {"outcome": "done"}),
        ("raycalib_rows", 1, tags | {"outcome": "failed"}),
        ("raycalib_tokens", 90, tags | {"kind": "read"}),
        ("raycalib_tokens", 7, tags | {"kind": "generated"}),
        ("raycalib_judge_requests", 4, tags),
        ("raycalib_judge_cost_usd", 0.25, tags),
    ]


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    ray.init(
        address="local",
        num_cpus=1,
        _temp_dir=str(tmp_path_factory.mktemp("r")),
        _system_config={"metrics_report_interval_ms": 1000},
    )
    yield ray.nodes()[0]
    ray.shutdown()


def exported(node: dict[str, Any]) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Our metrics at the endpoint that Prometheus reads, by name: tags and value of each series."""
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, tags, value in LINE.findall(text):
        if name.startswith("ray_raycalib_"):
            found.setdefault(name, []).append((dict(TAG.findall(tags)), float(value)))
    return found


def wait_for(
    node: dict[str, Any], names: set[str], show: Callable[[], None]
) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What is exported once all names are; ``show`` sets gauges again, which Ray forgets."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            found = exported(node)
        except OSError:  # the agent is yet to listen
            found = {}
        if names <= set(found):
            return found
        assert time.monotonic() < deadline, f"{names - set(found)} is not exported"
        show()
        time.sleep(0.5)


@ray.remote
class Trial:
    """In a process of its own, as trials are."""

    def __init__(self) -> None:
        self.metrics = TuningMetrics("llama2:7b oe kl_decay=0.5", "llama2:7b/oe", "llama2-7b")

    def tune(self, step: int) -> None:
        if step == 10:
            self.metrics.observe(replace(EVALUATION, val_auroc=0.75))
        self.metrics.observe_step(replace(STEP, step=step))

    def show(self) -> None:
        self.metrics.observe_step(replace(STEP, step=20, rows=0, tokens=0))

    def label(self, place: str) -> None:
        do_a_shard(Location(place))
        ray_metrics.count(ray_metrics.JUDGE_RETRIES, 1, stage="labelled", model="llama2-7b")


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_the_agent_exports_all_that_is_declared_under_the_names_that_are_said(
    node: dict[str, Any], tmp_path: Path
) -> None:
    worker = Trial.remote()
    ray.get(worker.label.remote(str(tmp_path)))
    for step in (10, 20):
        ray.get(worker.tune.remote(step))

    def show() -> None:
        ray_metrics.set_gauge(TRIALS, 2, sweep="my-sweep", state="running")
        ray.get(worker.show.remote())

    found = wait_for(node, {metric.exported for metric in METRICS}, show)
    for metric in METRICS:
        assert all(set(metric.tags) <= set(tags) for tags, _ in found[metric.exported])
    of_trial = {"combo": "llama2:7b/oe", "trial": "llama2:7b oe kl_decay=0.5"}

    def value(metric: RayMetric, **wanted: str) -> float:
        series = [value for tags, value in found[metric.exported] if wanted.items() <= tags.items()]
        assert len(series) == 1, f"{metric.name} {wanted}: {found[metric.exported]}"
        return series[0]

    assert value(ROWS, stage="labelled", model="llama2-7b", outcome="done") == 3
    assert value(ROWS, stage="labelled", outcome="failed") == 1
    assert value(ROWS, stage="tuned", outcome="done") == 320
    assert value(TOKENS, stage="tuned", kind="read") == 40_000
    assert value(TOKENS, stage="labelled", kind="generated") == 7
    assert value(JUDGE_COST, stage="labelled") == 0.25
    assert value(LOSS, **of_trial) == 1.5
    assert value(PROGRESS, **of_trial) == pytest.approx(0.4)
    assert (value(VAL_NLL, **of_trial), value(VAL_AUROC, **of_trial)) == (0.6, 0.75)
    assert value(TRIALS, sweep="my-sweep", state="running") == 2
    assert all(tags["SessionName"] for series in found.values() for tags, _ in series)


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_in_a_process_that_connects_again_metrics_are_exported_again(node: dict[str, Any]) -> None:
    ray_metrics.count(ROWS, 2, stage="again", model="m", outcome="done")
    found = wait_for(node, {ROWS.exported}, lambda: None)
    assert [value for tags, value in found[ROWS.exported] if tags["stage"] == "again"] == [2]
