"""Fitting a probe: AdamW under a cosine decay, keeping the step with the least validation NLL."""

from dataclasses import dataclass
import math

import numpy as np
import torch
from torch.nn import functional

from raycalib.errors import LossNotFiniteError
from raycalib.tuning.features import Features
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_data import ProbeData, prepare_probe_data
from raycalib.tuning.settings import ProbeSettings

EVALUATED_ROWS = 2**16


@dataclass(frozen=True, kw_only=True)
class ProbeFit:
    """A fitted probe, the step that was kept, and the validation NLL in nats by step."""

    probe: Probe
    best_step: int
    history: tuple[tuple[int, float], ...]

    @property
    def best_nll(self) -> float:
        """The validation NLL of the kept step, nats."""
        return min(nll for _, nll in self.history)


def fit_probe(
    features: Features,
    labels: np.ndarray,
    val_features: Features,
    val_labels: np.ndarray,
    settings: ProbeSettings,
    seed: int,
) -> ProbeFit:
    """Fits on the first set, keeps the step with the least NLL on the second.

    One float32 copy of both is made, in memory or in temporary files by their size.

    Args:
        features: (n, H), in memory or mapped, of any float type.
        labels: (n,) 0 or 1.
        val_features: (m, H).
        val_labels: (m,) 0 or 1.
        settings: steps, batch size, learning rate.
        seed: of the weights and the order of rows.

    Returns:
        The fit; the same again, to the last bit, for the same arguments and number of threads.

    Raises:
        DataError: an empty set, shapes that do not fit, a label other than 0 and 1, NaN or infinite features.
        LossNotFiniteError: the loss became NaN or infinite, with the step.
    """
    return fit_prepared(prepare_probe_data(features, labels, val_features, val_labels), settings, seed)


def fit_prepared(data: ProbeData, settings: ProbeSettings, seed: int) -> ProbeFit:
    """``fit_probe`` on data that is prepared, which is left as it is.

    Raises:
        LossNotFiniteError: the loss became NaN or infinite, with the step.
    """
    probe = _new_probe(data, seed)
    # Beside its matrix products a step goes through all weights and their moments: the fused kernel does so once.
    optimizer = torch.optim.AdamW(
        probe.layers.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    batch = torch.empty(settings.batch_size, data.x.shape[1])
    best, best_state, history = math.inf, probe.state_dict(), []
    for step, rows in enumerate(_batches(len(data.y), settings, seed), start=1):
        optimizer.param_groups[0]["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
        torch.index_select(data.x, 0, rows, out=batch)
        loss = functional.cross_entropy(probe.layers(batch), data.y[rows])
        _check_loss(loss.item(), "loss", step, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % settings.eval_every == 0 or step == settings.steps:
            val_nll = _validation_nll(probe, data)
            _check_loss(val_nll, "validation NLL", step, settings)
            history.append((step, val_nll))
            if val_nll < best:
                best, best_state = val_nll, {name: value.clone() for name, value in probe.state_dict().items()}
    probe.load_state_dict(best_state)
    best_step = min(history, key=lambda pair: pair[1])[0]
    return ProbeFit(probe=probe.eval(), best_step=best_step, history=tuple(history))


def _new_probe(data: ProbeData, seed: int) -> Probe:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(data.x.shape[1])
    probe.mean.copy_(data.mean)
    probe.scale.copy_(data.scale)
    return probe


def _batches(n_rows: int, settings: ProbeSettings, seed: int) -> torch.Tensor:
    """(steps, batch size) indices: passes over all rows, each in an order of its own, cut into batches."""
    generator = np.random.default_rng(seed)
    n_drawn = settings.steps * settings.batch_size
    passes = [generator.permutation(n_rows) for _ in range(math.ceil(n_drawn / n_rows))]
    return torch.from_numpy(np.concatenate(passes)[:n_drawn]).reshape(settings.steps, settings.batch_size)


@torch.no_grad()
def _validation_nll(probe: Probe, data: ProbeData) -> float:
    """Of all rows at once up to ``EVALUATED_ROWS``, whose activations take memory; beyond, of so many at a time."""
    logits = torch.cat([probe.layers(block) for block in data.val_x.split(EVALUATED_ROWS)])
    data.release()
    return functional.cross_entropy(logits, data.val_y).item()


def _check_loss(value: float, name: str, step: int, settings: ProbeSettings) -> None:
    if not math.isfinite(value):
        raise LossNotFiniteError(
            f"probe: the {name} of step {step} is not finite at probe.lr {settings.lr:g}; lower it"
        )
