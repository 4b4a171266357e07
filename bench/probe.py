"""Fitting a probe and a temperature, against a plain loop and an optimum found in another way, all in one run.

python bench/probe.py                       # 20,000 rows of 4,096 features, 5,000 steps of 64 rows; CPU

The plain loop is what one would write first: it standardizes every batch and takes AdamW as it comes. Both fit the same
rows in the same order with the same learning rates; the time of ours includes preparing the features. The temperature's
optimum is found by golden section in extended precision, from values of the NLL alone. Ends with one line of JSON.
"""

import argparse
from collections.abc import Callable
import json
import math
import os
import resource
from statistics import median
import time
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from raycalib.metrics import auroc
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_fit import ProbeFit, fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import fit_temperature

GOLDEN = (math.sqrt(5) - 1) / 2
SEED = 137


class Rows(NamedTuple):
    """Features with labels."""

    features: np.ndarray
    labels: np.ndarray


def learnable(generator: np.random.Generator, direction: np.ndarray, scale: np.ndarray, n_rows: int) -> Rows:
    """Features of different scales and offsets; the label is drawn from the logistic of a direction through them."""
    features = generator.standard_normal((n_rows, len(direction)), dtype=np.float32)
    logits = features @ direction
    labels = (generator.random(n_rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    features *= scale
    features += scale
    return Rows(features, labels)


def plain_fit(train: Rows, val: Rows, settings: ProbeSettings, seed: int) -> tuple[Probe, list[tuple[int, float]]]:
    """What one would write first."""
    x, y = torch.as_tensor(train.features), torch.as_tensor(train.labels)
    val_x, val_y = torch.as_tensor(val.features), torch.as_tensor(val.labels)
    torch.manual_seed(seed)
    probe = Probe(x.shape[1])
    probe.mean.copy_(x.mean(dim=0))
    probe.scale.copy_(x.std(dim=0).clamp(min=1e-6))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    generator = np.random.default_rng(seed)
    passes = math.ceil(settings.steps * settings.batch_size / len(x))
    order = np.concatenate([generator.permutation(len(x)) for _ in range(passes)])
    best, best_state, history = math.inf, probe.state_dict(), []
    for step in range(1, settings.steps + 1):
        rows = order[(step - 1) * settings.batch_size : step * settings.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
        loss = functional.cross_entropy(probe(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % settings.eval_every == 0 or step == settings.steps:
            with torch.no_grad():
                val_nll = float(functional.cross_entropy(probe(val_x), val_y))
            history.append((step, val_nll))
            if val_nll < best:
                best, best_state = val_nll, {name: value.clone() for name, value in probe.state_dict().items()}
    probe.load_state_dict(best_state)
    return probe, history


def golden_section(function: Callable[[np.longdouble], np.longdouble], low: float, high: float, width: float) -> float:
    """The place of the minimum of a function with one."""
    left, right = np.longdouble(low), np.longdouble(high)
    inner = [right - GOLDEN * (right - left), left + GOLDEN * (right - left)]
    values = [function(place) for place in inner]
    while right - left > width:
        if values[0] < values[1]:
            right, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = right - GOLDEN * (right - left)
            values[0] = function(inner[0])
        else:
            left, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = left + GOLDEN * (right - left)
            values[1] = function(inner[1])
    return float((left + right) / 2)


def measure_temperature(n_rows: int, repeats: int) -> dict[str, float | bool]:
    """Margins three times too extreme, in single precision as a model gives them."""
    generator = np.random.default_rng(SEED)
    true = generator.normal(0.5, 1.5, n_rows)
    labels = (generator.random(n_rows) < 1 / (1 + np.exp(-true))).astype(np.int64)
    margin = (3 * true).astype(np.float32)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        fitted = fit_temperature(margin, labels)
        seconds.append(time.perf_counter() - started)
    toward_label = np.where(labels == 1, margin, -margin).astype(np.longdouble)
    optimum = math.exp(
        golden_section(lambda log_t: np.mean(np.logaddexp(0, -toward_label / np.exp(log_t))), -6, 6, 1e-10)
    )
    return {
        "temperature_seconds": round(median(seconds), 4),
        "temperature": round(fitted.value, 6),
        "temperature_error": float(f"{abs(fitted.value - optimum):.1e}"),
        "auroc_is_the_same": auroc(labels, fitted.apply(margin)) == auroc(labels, margin),
    }


def peak_rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def weights(probe: Probe) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in probe.parameters()])


def measure_probe(options: argparse.Namespace) -> dict[str, object]:
    generator = np.random.default_rng(SEED)
    direction = (generator.normal(0, 3, options.features) / math.sqrt(options.features)).astype(np.float32)
    scale = np.exp(generator.normal(0, 1, options.features)).astype(np.float32)
    train, val = (learnable(generator, direction, scale, n_rows) for n_rows in (options.rows, options.val_rows))
    settings = ProbeSettings(steps=options.steps, batch_size=options.batch_size, eval_every=options.eval_every)
    warm = ProbeSettings(steps=5, batch_size=options.batch_size)
    fit_probe(*(part[:100] for part in train), *(part[:100] for part in val), warm, SEED)
    ours: list[ProbeFit] = []
    plain: list[tuple[Probe, list[tuple[int, float]]]] = []
    before = peak_rss_mib()
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    more_mib = 0.0
    for repeat in range(options.repeats):
        seconds["ours"].append(seconds_of(lambda: ours.append(fit_probe(*train, *val, settings, SEED))))
        more_mib = more_mib if repeat else peak_rss_mib() - before
        seconds["plain"].append(seconds_of(lambda: plain.append(plain_fit(train, val, settings, SEED))))
        print(f"ours {seconds['ours'][-1]:.2f} s, plain {seconds['plain'][-1]:.2f} s", flush=True)
    ours_s, plain_s = median(seconds["ours"]), median(seconds["plain"])
    return {
        "rows": options.rows,
        "features": options.features,
        "steps": options.steps,
        "device": f"{torch.get_num_threads()} CPU threads",
        "seconds": round(ours_s, 2),
        "plain_seconds": round(plain_s, 2),
        "ratio": round(plain_s / ours_s, 2),
        "peak_mib_beside_the_features": round(more_mib),
        "features_mib": round((train.features.nbytes + val.features.nbytes) / 2**20),
        "the_same_again": all(torch.equal(weights(fit.probe), weights(ours[0].probe)) for fit in ours),
        "val_nll": {
            "ours": round(min(nll for _, nll in ours[0].history), 6),
            "plain": round(min(nll for _, nll in plain[0][1]), 6),
        },
        "val_auroc": {
            "ours": round(auroc(val.labels, ours[0].probe.margin(val.features)), 5),
            "plain": round(auroc(val.labels, plain[0][0].margin(val.features)), 5),
        },
        "all_seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--val-rows", type=int, default=2000)
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--eval-every", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    figures = {"bench": "probe", **measure_probe(options), **measure_temperature(options.rows, 5)}
    print(
        f"probe: {figures['seconds']} s against {figures['plain_seconds']} s: {figures['ratio']} times as fast; "
        f"temperature: {figures['temperature_seconds']} s"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
