"""What several adapters on one frozen base could gain at most: a step over k times the rows, against k steps.

python bench/adapters_at_once.py                 # the small model of bench/tune.py
python bench/adapters_at_once.py --stand-in      # the shape of the demo's models and its rows per pass

k adapters that are tuned together read k times the rows in one pass of the base model, and each its own small
products besides; one adapter over k times the rows does all of that but the small products' being apart. So this ratio
is an upper bound of what such a pass gains. Goal: 1.3. Ends with one line of JSON.
"""

import argparse
import json
from statistics import median
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from tune import LABELS, LR, random_rows

from raycalib.lm.adapters import attach_lora
from raycalib.lm.logits import state_size
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.tuning.batches import collate
from raycalib.tuning.engines import MicroBatch, TorchEngine
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings

SHAPES = {"small": (256, 688, 4, 8, 2000), "stand-in": (128, 352, 5, 4, 2048)}
"""Hidden size, MLP, layers, heads, vocabulary."""


def engine_of(shape: str) -> TorchEngine:
    hidden, mlp, layers, heads, vocabulary = SHAPES[shape]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=512,
    )
    torch.manual_seed(0)
    adapted = attach_lora(LlamaForCausalLM(config), LoraSettings(rank=16, targets=ALL_LINEAR_TARGETS, dropout=0.0), 0)
    return TorchEngine(CalibrationObjective(adapted.get_base_model(), LABELS, 1.0, "jsd"), TuningSettings())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--rows", type=int, default=16, help="of a pass of one adapter, %(default)s")
    parser.add_argument("--adapters", type=int, nargs="+", default=[2, 4, 8], help="at once, %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="each way in turn, %(default)s; medians count")
    arguments = parser.parse_args()
    shape = "stand-in" if arguments.stand_in else "small"
    engine = engine_of(shape)
    most = max(arguments.adapters)
    rows = random_rows(arguments.rows * most, SHAPES[shape][-1])
    size = state_size(engine.objective.causal_lm)

    def passes(n_rows: int) -> list[MicroBatch]:
        batches = [collate(rows[start : start + n_rows]) for start in range(0, len(rows), n_rows)]
        return [MicroBatch(batch, torch.randn(len(batch.kl_at), size)) for batch in batches]

    ways = {k: passes(arguments.rows * k) for k in (1, *arguments.adapters)}
    seconds: dict[int, list[float]] = {k: [] for k in ways}
    for number in range(arguments.rounds + 1):
        for k, micro in ways.items():
            started = time.perf_counter()
            for each in micro:
                engine.step([each], arguments.rows * k, LR)
            if number:  # the first round warms up
                seconds[k].append(time.perf_counter() - started)
    alone = median(seconds[1])
    print(
        json.dumps(
            {
                "bench": "adapters_at_once",
                "shape": shape,
                "rows": arguments.rows,
                "threads": torch.get_num_threads(),
                "ratio": {str(k): round(alone / median(seconds[k]), 2) for k in arguments.adapters},
                "seconds": {str(k): [round(value, 2) for value in values] for k, values in seconds.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
