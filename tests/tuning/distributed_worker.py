"""One worker of a group: runs the cases of a JSON file in turn and, as the first worker, writes their curves.

python -m tests.tuning.distributed_worker FILE, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

from dataclasses import replace
from functools import partial
import json
from pathlib import Path
import sys
from typing import Any
from unittest.mock import patch

import safetensors.torch
import torch
from torch import nn
import torch.distributed as dist
from transformers import AutoTokenizer, LlamaForCausalLM

from raycalib.errors import LossNotFiniteError
from raycalib.lm.lora_settings import LoraSettings
from raycalib.prompts import Example, open_ended_context
from raycalib.storage import Location
from raycalib.tuning import trainer, weight_split
from raycalib.tuning.batches import TuningRow, answer_row, tuning_row
from raycalib.tuning.deepspeed_engine import splits_weights
from raycalib.tuning.figures import StepFigures
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.tuned_weights import best_adapter, best_head
from raycalib.tuning.world import World, current_world

BEST_NAME = "best.safetensors"
PLACES = ("France", "Italy", "Spain", "Peru", "Japan", "Cuba", "x", "a far country, and a long way from here")
SETTINGS = TuningSettings(
    steps=6,
    global_batch_size=6,
    micro_batch_size=2,
    lr=2e-3,
    warmup_steps=2,
    weight_decay=0.01,
    eval_every=3,
    checkpoint_every=2,
    log_every=1,
    zero_persistence_threshold=0,
    lora=LoraSettings(rank=2, dropout=0.2),
)


def toy_rows(tokenizer: Any, method: str = "lora_prompt") -> list[TuningRow]:
    make = tuning_row if method == "lora_prompt" else answer_row
    rows = []
    for place in PLACES:
        example = Example(context=open_ended_context(f"What is the capital of {place}?"), target="Lima")
        for answer, label in (("Paris", 1), ("Rome", 0)):
            rows.append(make(tokenizer, f"{place}/{answer}", example, answer, label, 512)[0])
    return rows


def all_ask(world: World) -> bool:
    """As Ray's notice of preemption: it answers once all workers ask, and one asking at another step would hang."""
    world.barrier()
    return False


def run_case(model_directory: str, case: dict[str, Any], world: World) -> None:
    """Tunes as the case says; the first worker writes ``curve.json`` and ``best.safetensors`` into its directory.

    A loss that is not finite, as a ``poisoned`` token makes it, is written to ``error-RANK.txt``. The model
    computes in the case's ``dtype``, or float32.
    """
    settings = replace(SETTINGS, **case["settings"])
    dtype: torch.dtype = getattr(torch, case.get("dtype", "float32"))
    stored = splits_weights(settings, world)  # in half precision: see the test's model
    model = LlamaForCausalLM.from_pretrained(model_directory, dtype="auto" if stored else dtype).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_directory)
    rows = toy_rows(tokenizer, settings.method)
    steps: list[StepFigures] = []
    out = Path(case["out"])
    moved: list[int] = []

    def to(objective: CalibrationObjective, *place: Any) -> CalibrationObjective:
        moved.append(sum(parameter.numel() for parameter in objective.parameters()))
        return nn.Module.to(objective, *place)

    with patch.object(CalibrationObjective, "to", to):
        tuner = Tuner(
            model,
            tokenizer,
            TuningData(train=rows[:11], val=rows[11:]),
            settings,
            seed=1,
            checkpoints=Location(str(out)),
            key="key",
            world=world,
            hooks=Hooks(observe_step=steps.append, checkpoint_now=partial(all_ask, world)),
            dtype=dtype,
        )
    whole = sum(parameter.numel() for parameter in tuner.objective.parameters())
    dtypes = {
        kind: sorted({str(part.dtype) for part in tuner.objective.parameters() if part.requires_grad == is_tuned})
        for kind, is_tuned in (("tuned", True), ("frozen", False))
    }
    if case.get("poisoned"):
        with torch.no_grad():
            model.get_input_embeddings().weight[case["poisoned"]] = torch.nan
    try:
        state = tuner.run()
    except LossNotFiniteError as error:
        (out / f"error-{world.rank}.txt").write_text(str(error))
        return
    if world.is_first:
        curve = {figures.step: [figures.query_loss, figures.divergence, figures.grad_norm] for figures in steps}
        values = {"curve": curve, "history": state.history, "numbers_held": whole, "moved": moved, "dtypes": dtypes}
        (out / "curve.json").write_text(json.dumps(values))
        best = best_adapter(state) | best_head(state)
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in best.items()}, out / BEST_NAME)


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text())
    trainer.NOTICE_EVERY_S = 0.02
    weight_split.AT_ONCE = 1000  # of 30,000: most modules are split one by one
    dist.init_process_group("gloo")
    for case in job["cases"]:
        run_case(job["model"], case, current_world(torch.device("cpu")))
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
