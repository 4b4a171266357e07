"""Tuning steps against the plain way, on the same rows and in one run.

python bench/tune.py                # small random Llama on the CPU: batch 4, jsd, LoRA r = 8 on q and v
python bench/tune.py --model 7b     # 7B-shaped random Llama in bfloat16 (13b likewise); skipped where there is no GPU

The plain way is the paper's: three padded passes in file order (query, true answer, true answer without the adapter),
with logits of all tokens. Ours reads both texts in one packed pass, and the base model's states are computed once and
stored; ``ratio`` is of three passes over the rows (or three trials) that share them, ``ratio_one_pass`` of one. The
rows are random tokens: contexts of 60 to 300, answers of 3 to 30. Both begin with one adapter, and their losses without
dropout are compared. Peaks of memory are those of processes of their own, above what they hold before the first step.
With a GPU the figures have the share of its matrix rate that useful tokens reach. Ends with one line of JSON.
"""

import argparse
from collections.abc import Callable, Sequence
import json
import random
import resource
from statistics import median
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

from peft import PeftModel
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from raycalib.lm.adapters import attach_lora
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location
from raycalib.tuning.batches import TuningRow, collate
from raycalib.tuning.engines import MicroBatch, TorchEngine
from raycalib.tuning.losses import query_losses, token_divergences
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.reference import ReferenceStates
from raycalib.tuning.reference_pass import compute_missing
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.world import World

BATCH = 4
SUFFIX_TOKENS = 28
"""Of the uncertainty query behind an answer, about as many as in the vocabularies of Llama 2 and Mistral."""
PASSES = 3
LABELS = (5, 6)
LR = 1e-4
SHAPES = {
    # hidden size, MLP size, layers, heads, vocabulary
    "small": (256, 688, 4, 8, 2000),
    "7b": (4096, 11008, 32, 32, 32000),
    "13b": (5120, 13824, 40, 40, 32000),
}


def adapted_model(name: str, device: torch.device) -> PeftModel:
    """A random Llama with an adapter that changes something."""
    hidden, mlp, layers, heads, vocabulary = SHAPES[name]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=512,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    adapted = attach_lora(model, LoraSettings(), 0)
    with torch.no_grad():
        for part, weight in adapted.named_parameters():
            if "lora_B" in part:
                weight.copy_(0.02 * torch.randn(weight.shape))
    return adapted


def random_rows(n: int, vocabulary: int) -> list[TuningRow]:
    draw = random.Random(0)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw.randrange(100, vocabulary) for _ in range(draw.randint(least, most)))

    rows = []
    for number in range(n):
        context, target = tokens(60, 300), tokens(3, 30)
        query = context + tokens(3, 30) + tuple(range(10, 10 + SUFFIX_TOKENS))
        row = TuningRow(
            row_id=str(number), query_ids=query, kl_ids=context + target, n_target=len(target), label=number % 2
        )
        rows.append(row)
    return rows


def padded(texts: Sequence[Sequence[int]], device: torch.device) -> dict[str, Tensor]:
    width = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


class PlainTuning:
    """The paper's step."""

    def __init__(self, name: str, rows: list[TuningRow], device: torch.device) -> None:
        self.rows, self.device = rows, device
        self.model = adapted_model(name, device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=LR)

    def prepare(self) -> None:
        """Nothing is known before the first step."""

    def loss(self, number: int) -> Tensor:
        """Mean loss of a batch."""
        rows = self.rows[number * BATCH : (number + 1) * BATCH]
        ends = torch.tensor([len(row.query_ids) - 1 for row in rows], device=self.device)
        labels = torch.tensor([row.label for row in rows], device=self.device)
        query = padded([row.query_ids for row in rows], self.device)
        logits = self.model(**query, use_cache=False).logits
        chosen = logits[torch.arange(len(rows), device=self.device), ends][:, list(LABELS)]
        texts = padded([row.kl_ids for row in rows], self.device)
        with torch.no_grad(), self.model.disable_adapter():
            base = self.model(**texts, use_cache=False).logits
        tuned = self.model(**texts, use_cache=False).logits
        of_target = torch.zeros(texts["input_ids"].shape)
        for place, row in enumerate(rows):
            of_target[place, len(row.kl_ids) - row.n_target - 1 : len(row.kl_ids) - 1] = 1
        divergences = token_divergences(tuned.flatten(0, 1), base.flatten(0, 1), "jsd")
        divergence = (divergences * of_target.flatten().to(self.device)).sum()
        return (query_losses(chosen, labels).sum() + divergence) / len(rows)

    def step(self, number: int) -> None:
        """One optimizer step."""
        self.model.train()
        self.loss(number).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def eval_loss(self, number: int) -> float:
        """Mean loss of a batch without dropout."""
        self.model.eval()
        with torch.no_grad():
            return float(self.loss(number))

    def tokens(self) -> tuple[int, int]:
        """Tokens of a pass over the rows, and positions computed for them."""
        useful = computed = 0
        for start in range(0, len(self.rows), BATCH):
            rows = self.rows[start : start + BATCH]
            for texts, passes in (([row.query_ids for row in rows], 1), ([row.kl_ids for row in rows], 2)):
                useful += passes * sum(map(len, texts))
                computed += passes * len(rows) * max(map(len, texts))
        return useful, computed


class OurTuning:
    """Our step."""

    def __init__(self, name: str, rows: list[TuningRow], device: torch.device) -> None:
        self.rows, self.world = rows, World(device=device)
        model = adapted_model(name, device)
        self.size, self.dtype = model.config.hidden_size, model.dtype
        self.objective = CalibrationObjective(model.get_base_model(), LABELS, 1.0, "jsd")
        self.engine = TorchEngine(self.objective, TuningSettings())
        self.folder = TemporaryDirectory(prefix="raycalib-bench-")
        self.passes = 0

    def prepare(self) -> None:
        """The base model's states of all rows, on disk."""
        self.passes += 1
        place = Location(f"{self.folder.name}/{self.passes}")
        self.reference = ReferenceStates(place, "bench", self.rows, self.size, self.dtype)
        compute_missing(self.reference, range(len(self.rows)), self.engine, self.objective, self.world)

    def micro_batch(self, number: int) -> MicroBatch:
        """The rows of a step."""
        members = range(number * BATCH, (number + 1) * BATCH)
        batch = collate([self.rows[member] for member in members], seeds=members)
        return MicroBatch(batch.to(self.world.device), self.reference.take(members).to(self.world.device))

    def step(self, number: int) -> None:
        """One optimizer step."""
        self.engine.step([self.micro_batch(number)], BATCH, LR)

    def eval_loss(self, number: int) -> float:
        """Mean loss of a batch without dropout."""
        micro = self.micro_batch(number)
        with torch.no_grad():
            return float(self.objective.eval()(micro.batch, micro.base_states).total) / BATCH

    def tokens(self) -> tuple[int, int]:
        """Tokens of a pass over the rows, and positions computed for them: nothing is padded."""
        n_tokens = sum(row.length for row in self.rows)
        return n_tokens, n_tokens


WAYS: dict[str, type[PlainTuning] | type[OurTuning]] = {"plain": PlainTuning, "ours": OurTuning}


def timed(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak_mib(way: str, name: str, device: torch.device, rows: list[TuningRow]) -> float:
    """Memory that steps take beyond model and optimizer, in MiB; of the longest rows."""
    longest = sorted(rows, key=lambda row: row.length)[-BATCH:]
    tuning = WAYS[way](name, longest, device)
    tuning.prepare()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        tuning.step(0)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        tuning.step(0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peak_of_process(way: str, arguments: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--model", arguments.model, "--steps", str(arguments.steps), "--peak", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def matrix_rate(device: torch.device) -> float:
    """Floating point operations per second of the GPU on a large product in bfloat16, measured."""
    left, right = (torch.randn(8192, 8192, dtype=torch.bfloat16, device=device) for _ in range(2))
    seconds = min(timed(lambda: left @ right, device) for _ in range(10))
    return 2 * 8192**3 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="small")
    parser.add_argument("--steps", type=int, default=40, help="of each round, %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="each way in turn, %(default)s; medians count")
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.model == "small" else "cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"bench": "tune", "model": arguments.model, "skipped": "torch sees no GPU"}))
        return
    rows = random_rows(arguments.steps * BATCH, SHAPES[arguments.model][-1])
    if arguments.peak:
        print(peak_mib(arguments.peak, arguments.model, device, rows))
        return
    peaks = {way: round(peak_of_process(way, arguments)) for way in WAYS}
    print(json.dumps(measure(arguments, rows, device) | {"peak_mib": peaks}))


def measure(arguments: argparse.Namespace, rows: list[TuningRow], device: torch.device) -> dict[str, object]:
    """The figures of a run, the ways taking turns."""
    plain, ours = PlainTuning(arguments.model, rows, device), OurTuning(arguments.model, rows, device)
    for way in (plain, ours):
        way.prepare()
    differences = [abs(plain.eval_loss(number) - ours.eval_loss(number)) for number in range(min(5, arguments.steps))]
    for way in (plain, ours):
        way.step(0)
    seconds: dict[str, list[float]] = {"plain": [], "reference": [], "ours": []}
    for number in range(arguments.rounds):
        seconds["plain"].append(timed(lambda: [plain.step(step) for step in range(arguments.steps)], device))
        seconds["reference"].append(timed(ours.prepare, device))
        seconds["ours"].append(timed(lambda: [ours.step(step) for step in range(arguments.steps)], device))
        print(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items()))
    of_plain, of_reference, of_ours = (median(seconds[name]) for name in ("plain", "reference", "ours"))
    (plain_useful, plain_computed), (useful, computed) = plain.tokens(), ours.tokens()
    figures: dict[str, object] = {
        "bench": "tune",
        "model": arguments.model,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads",
        "batch": BATCH,
        "ratio": round(of_plain / (of_ours + of_reference / PASSES), 2),
        "ratio_one_pass": round(of_plain / (of_ours + of_reference), 2),
        "ratio_of_steps_alone": round(of_plain / of_ours, 2),
        "steps_per_s": {"plain": round(arguments.steps / of_plain, 2), "ours": round(arguments.steps / of_ours, 2)},
        "tokens_per_s": {"plain": round(plain_useful / of_plain), "ours": round(useful / of_ours)},
        "padding_share": {
            "plain": round(1 - plain_useful / plain_computed, 4),
            "ours": round(1 - useful / computed, 4),
        },
        "largest_difference_of_losses": float(f"{max(differences):.2g}"),
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
    }
    if device.type == "cuda":
        hidden, mlp, layers, _, _ = SHAPES[arguments.model]
        # Forward, and the way back through frozen weights: two products each per weight and token.
        needed = 4 * layers * (4 * hidden**2 + 3 * hidden * mlp) * useful
        figures["share_of_matrix_rate"] = round(needed / of_ours / matrix_rate(device), 3)
    return figures


if __name__ == "__main__":
    main()
