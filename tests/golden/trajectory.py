"""Some steps of AdamW from the golden adapter, by raycalib's own engine."""

from collections.abc import Sequence
import copy
from typing import Any

from raycalib.tuning.batches import TuningRow
from raycalib.tuning.engines import MicroBatch, TorchEngine
from raycalib.tuning.settings import TuningSettings
from tests.golden.batch_losses import compare_step, mask_reason
from tests.golden.tally import Tally
from tests.golden.tuned import KL_KINDS, Gradients, TunedModel, as_paper

NEVER_CLIPPED = 1e9
READ = {"lr", "betas", "eps", "weight_decay", "kl_type", "kl_decay", "no_grad_clipping", "steps"}

Rows = Sequence[TuningRow]


def compare_trajectory(golden: dict[str, Any], tuned: TunedModel, batches: Sequence[Rows], tally: Tally) -> None:
    """Loss and gradient before each step, with the paper's mask and with the right one."""
    where = "losses.json/adamw_trajectory"
    tally.account(where, golden, READ, {})
    steps = golden["steps"]
    for number, step in enumerate(steps):
        tally.account(f"{where}/steps/{number}", step, ("step", "batch", "loss", "grad_l2"), {})
    order = [batches[step["batch"]] for step in steps]
    masked = _run(f"{where}/paper_mask", golden, tuned, [as_paper(rows) for rows in order], tally)
    ours = _run(where, golden, tuned, order, tally)
    reason = None
    for step, rows, found, as_found in zip(steps, order, ours, masked, strict=True):
        reason = reason or mask_reason(rows)  # a step from other weights differs too
        name = f"steps/{step['step']}/loss"
        compare_step(f"{where}/paper_mask/{name}", as_found, step["loss"], step["grad_l2"], tally)
        compare_step(f"{where}/{name}", found, step["loss"], step["grad_l2"], tally, reason)


def _run(where: str, golden: dict[str, Any], tuned: TunedModel, order: Sequence[Rows], tally: Tally) -> list[Gradients]:
    """Tunes a copy of the model; losses and gradients before each step."""
    model, kind, decay = copy.deepcopy(tuned), KL_KINDS[golden["kl_type"]], golden["kl_decay"]
    settings = TuningSettings(
        lr=golden["lr"],
        weight_decay=golden["weight_decay"],
        kl_kind=kind,
        kl_decay=decay,
        max_grad_norm=NEVER_CLIPPED if golden["no_grad_clipping"] else TuningSettings.max_grad_norm,
    )
    engine = TorchEngine(model.objective(kind, decay), settings)
    for name in ("betas", "eps"):
        tally.compare(f"{where}/{name}", _plain(engine.optimizer.defaults[name]), golden[name])
    found = []
    for rows in order:
        found.append(model.gradients(rows, kind, decay))
        engine.step([MicroBatch(model.batch(rows), model.base_states(rows))], len(rows), settings.lr)
    return found


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
