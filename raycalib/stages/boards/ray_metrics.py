"""Ray's own metrics of raycalib, which the agent of each node exports for Prometheus; all are declared here.

Ray exports a gauge once for each time that it is set and forgets it after 20 s, so who shows one sets it again and
again. ``cluster/grafana/raycalib.json`` is the dashboard of these metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import math
import sys
from typing import Any, Literal

SHOWN_EVERY_S = 5.0
"""How often a gauge that stays is set again; Ray exports every 10 s."""


@dataclass(frozen=True, kw_only=True)
class RayMetric:
    """One metric.

    Attributes:
        name: in Ray, which has ``ray_`` before it in Prometheus.
        kind: a counter only grows, and its rate is what is looked at; a gauge is the value of the moment.
        description: what it is.
        unit: of its values.
        tags: by which its series differ.
    """

    name: str
    kind: Literal["counter", "gauge"]
    description: str
    unit: str
    tags: tuple[str, ...]

    @property
    def exported(self) -> str:
        """Its name in Prometheus.

        >>> ROWS.exported, LOSS.exported
        ('ray_raycalib_rows_total', 'ray_raycalib_loss')
        """
        return f"ray_{self.name}_total" if self.kind == "counter" else f"ray_{self.name}"


OF_STAGE = ("stage", "model")
OF_TRIAL = ("combo", "trial")

ROWS = RayMetric(
    name="raycalib_rows", kind="counter", unit="rows", tags=(*OF_STAGE, "outcome"),
    description="Rows that a stage has done or failed, counted shard by shard; in tuning, rows that a step has read",
)  # fmt: skip
TOKENS = RayMetric(
    name="raycalib_tokens", kind="counter", unit="tokens", tags=(*OF_STAGE, "kind"),
    description="Tokens that a model or judge has read or generated, as far as its stage counts them",
)  # fmt: skip
JUDGE_REQUESTS = RayMetric(
    name="raycalib_judge_requests", kind="counter", unit="requests", tags=OF_STAGE,
    description="Requests sent to the judge, those that failed among them",
)  # fmt: skip
JUDGE_RETRIES = RayMetric(
    name="raycalib_judge_retries", kind="counter", unit="requests", tags=OF_STAGE,
    description="Requests to the judge for rows that had been asked before",
)  # fmt: skip
JUDGE_COST = RayMetric(
    name="raycalib_judge_cost_usd", kind="counter", unit="dollars", tags=OF_STAGE,
    description="What the judge's replies cost, where its price is known",
)  # fmt: skip
LOSS = RayMetric(
    name="raycalib_loss", kind="gauge", unit="nats", tags=OF_TRIAL,
    description="Loss of a trial's last step that is logged, mean over its rows",
)  # fmt: skip
PROGRESS = RayMetric(
    name="raycalib_progress", kind="gauge", unit="share, 0 to 1", tags=OF_TRIAL,
    description="Share of a trial's steps that are done",
)  # fmt: skip
VAL_NLL = RayMetric(
    name="raycalib_val_nll", kind="gauge", unit="nats", tags=OF_TRIAL,
    description="NLL of a trial's last evaluation on val_select, at the best temperature",
)  # fmt: skip
VAL_ECE = RayMetric(
    name="raycalib_val_ece", kind="gauge", unit="share, 0 to 1", tags=OF_TRIAL,
    description="ECE of a trial's last evaluation on val_select, at the best temperature",
)  # fmt: skip
VAL_AUROC = RayMetric(
    name="raycalib_val_auroc", kind="gauge", unit="share, 0 to 1", tags=OF_TRIAL,
    description="AUROC of a trial's last evaluation on val_select",
)  # fmt: skip
TRIALS = RayMetric(
    name="raycalib_trials", kind="gauge", unit="trials", tags=("sweep", "state"),
    description="Trials by state, of those that the command tunes at the moment",
)  # fmt: skip

METRICS = (
    ROWS, TOKENS, JUDGE_REQUESTS, JUDGE_RETRIES, JUDGE_COST, LOSS, PROGRESS, VAL_NLL, VAL_ECE, VAL_AUROC, TRIALS,
)  # fmt: skip
"""All of them."""

_MADE: dict[str, Any] = {}
"""Ray's objects of this process; made when first used, since what holds one is pickled in places."""


def count(metric: RayMetric, value: float, **tags: str) -> None:
    """Adds to a counter; does nothing without Ray, or where there is nothing to add."""
    if _is_there() and math.isfinite(value) and value > 0:
        _made(metric).inc(value, tags=tags)


def set_gauge(metric: RayMetric, value: float | None, **tags: str) -> None:
    """Sets a gauge; does nothing without Ray, or where the value is not known."""
    if value is not None and _is_there() and math.isfinite(value):
        _made(metric).set(value, tags=tags)


def count_shard(stage: str, model: str, n_done: int, n_failed: int, figures: Mapping[str, float]) -> None:
    """Counts a shard.

    Args:
        stage: that has done it.
        model: whose rows they are.
        n_done, n_failed: its rows, those that failed apart.
        figures: what the worker has counted for it.
    """
    of_stage = {"stage": stage, "model": model}
    count(ROWS, n_done, **of_stage, outcome="done")
    count(ROWS, n_failed, **of_stage, outcome="failed")
    for name, kind in TOKEN_KINDS.items():
        count(TOKENS, figures.get(name, 0), **of_stage, kind=kind)
    for name, metric in OF_JUDGE.items():
        count(metric, figures.get(name, 0), **of_stage)


TOKEN_KINDS = {"tokens_read": "read", "tokens_in": "read", "tokens_generated": "generated", "tokens_out": "generated"}
"""From what engines and judges count to the tag."""

OF_JUDGE = {"requests": JUDGE_REQUESTS, "retries": JUDGE_RETRIES, "cost_usd": JUDGE_COST}
"""From what judges count to the metric."""


def _is_there() -> bool:
    """Whether this process belongs to a Ray cluster; it is never imported for that."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _made(metric: RayMetric) -> Any:
    if metric.name not in _MADE:
        from ray.util.metrics import Counter, Gauge

        kind = Counter if metric.kind == "counter" else Gauge
        _MADE[metric.name] = kind(metric.name, f"{metric.description} ({metric.unit})", metric.tags)
    return _MADE[metric.name]
