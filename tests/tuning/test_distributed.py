"""The same run on 1, 2 and 4 workers, under every ZeRO stage, stopped and gone on with on another number."""

import copy
import json
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.tuning.world import World
from tests.tuning.distributed_worker import BEST_NAME, run_case, toy_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
STAGES = {
    "zero-0": {"zero_stage": 0},
    "zero-1": {"zero_stage": 1},
    "zero-2": {"zero_stage": 2},
    "zero-3": {"zero_stage": 3},
    "zero-3 offloaded": {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True},
    "zero-2 offloaded": {"zero_stage": 2, "offload_optimizer": True},
}
IN_BFLOAT16 = ("zero-0", "zero-2", "zero-3")
CUT_AT = 4
CLASSIFIERS = {
    f"{method} {name}": {"method": method, **STAGES[name]}
    for method in ("lora", "probe")
    for name in ("zero-2", "zero-3")
}


def spawn(world_size: int, model: Path, cases: list[dict[str, Any]], file: Path) -> None:
    """Runs the cases in a group of processes and waits for them."""
    file.write_text(json.dumps({"model": str(model), "cases": cases}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(world_size):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in places.items()}
        environment |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "tests.tuning.distributed_worker", str(file)]
        with (file.parent / f"{file.stem}-{rank}.log").open("w") as log:
            started.append(
                subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2], stdout=log, stderr=log)
            )
    codes = [process.wait(timeout=500) for process in started]
    logs = "\n".join((file.parent / f"{file.stem}-{rank}.log").read_text()[-3000:] for rank in range(world_size))
    assert codes == [0] * world_size, logs


@pytest.fixture(scope="module")
def runs(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs, one directory each: ``world size/stage``, and ``resumed/…`` that went on from a run of two workers."""
    root = tmp_path_factory.mktemp("distributed")
    model = root / "model"
    copy.deepcopy(tiny_llama[0]).half().save_pretrained(model)  # ZeRO-3 takes it as stored, the others in float32
    tiny_llama[1].save_pretrained(model)
    run_case(str(model), case(root / "1" / "torch", {}), World())
    poisoned = case(root / "poisoned", STAGES["zero-0"]) | {"poisoned": only_in_france(tiny_llama[1])}
    for method in ("lora", "probe"):
        run_case(str(model), case(root / "1" / method, {"method": method}), World())
    cases = [case(root / "2" / name, stage) for name, stage in (STAGES | CLASSIFIERS).items()]
    cases += [in_bfloat16(root / "2" / f"bfloat16 {name}", STAGES[name]) for name in IN_BFLOAT16]
    spawn(2, model, [*cases, poisoned], root / "two.json")
    run_case(str(model), in_bfloat16(root / "1" / "bfloat16", {}), World())
    for name in ("1", "4", *STAGES):
        cut_off(root / "2" / "zero-2", root / "resumed" / name)
    run_case(str(model), case(root / "resumed" / "1", {}), World())
    four = [case(root / "4" / name, stage) for name, stage in STAGES.items() if "offloaded" not in name]
    spawn(4, model, [*four, case(root / "resumed" / "4", STAGES["zero-3"])], root / "four.json")
    spawn(2, model, [case(root / "resumed" / name, stage) for name, stage in STAGES.items()], root / "again.json")
    return root


def in_bfloat16(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """A case as a GPU computes it; CPUs can as well."""
    return case(out, settings) | {"dtype": "bfloat16"}


def only_in_france(tokenizer: PreTrainedTokenizerFast) -> int:
    """A token that only the rows about France hold."""
    rows = toy_rows(tokenizer)
    of_france = {token for row in rows if row.row_id.startswith("France") for token in row.query_ids}
    (token,) = of_france.difference(*(row.query_ids for row in rows if not row.row_id.startswith("France")))
    return token


def case(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    return {"out": str(out), "settings": settings}


def cut_off(run: Path, copy: Path) -> None:
    """The run as a kill after step 4 would have left it."""
    shutil.copytree(run, copy)
    for later in copy.glob("step-*"):
        if int(later.name.removeprefix("step-")) > CUT_AT:
            shutil.rmtree(later)
    for result in ("curve.json", BEST_NAME):
        (copy / result).unlink()
    assert (copy / f"step-{CUT_AT:08d}" / "state.json").exists()


def curve(run: Path) -> torch.Tensor:
    """(steps, 3) query loss, divergence and gradient norm; the run's own steps alone."""
    values = json.loads((run / "curve.json").read_text())["curve"]
    return torch.tensor([values[step] for step in sorted(values, key=int)], dtype=torch.float64)


def check_same(run: Path, other: Path) -> None:
    ours, expected = curve(run), curve(other)
    torch.testing.assert_close(ours, expected[-len(ours) :], rtol=1e-4, atol=1e-6)
    weights, others = (safetensors.torch.load_file(place / BEST_NAME) for place in (run, other))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        # AdamW divides by the root of the squares, so float32 noise in small gradients grows.
        torch.testing.assert_close(weight, others[name], rtol=1e-3, atol=2e-5)


WORLDS = [(2, name) for name in STAGES] + [(4, name) for name in STAGES if "offloaded" not in name]


@pytest.mark.parametrize(("world_size", "stage"), WORLDS)
def test_the_curve_does_not_depend_on_workers_and_stage(runs: Path, world_size: int, stage: str) -> None:
    alone = curve(runs / "1" / "torch")
    assert alone.shape == (6, 3)
    assert (alone[1:, 1] > 0).all()  # the divergence is at work
    check_same(runs / str(world_size) / stage, runs / "1" / "torch")


@pytest.mark.parametrize("name", ["1", "4", *STAGES])
def test_a_run_of_two_goes_on_with_other_workers_and_stages(runs: Path, name: str) -> None:
    resumed = runs / "resumed" / name
    assert len(curve(resumed)) == 6 - CUT_AT
    check_same(resumed, runs / "1" / "torch")


def test_stage_three_really_splits_the_model(runs: Path) -> None:
    """Between passes a worker holds none of the weights whole."""
    held = {name: json.loads((runs / "2" / name / "curve.json").read_text())["numbers_held"] for name in STAGES}
    assert held["zero-3"] == 0
    assert held["zero-2"] > 0


def test_a_loss_that_is_not_finite_stops_all_workers_alike(runs: Path) -> None:
    """Each of them names the rows of the one whose loss it was, and none waits for the others."""
    errors = [(runs / "poisoned" / f"error-{rank}.txt").read_text() for rank in range(2)]
    assert errors[0] == errors[1]
    assert "France/" in errors[0]
    assert "is not finite" in errors[0]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_are_tuned_alike_by_two_workers(runs: Path, name: str) -> None:
    method = name.split()[0]
    check_same(runs / "2" / name, runs / "1" / method)
    tuned = safetensors.torch.load_file(runs / "2" / name / BEST_NAME)
    assert sum(part.startswith("layers.") for part in tuned) == 8
    assert any("lora_" in part for part in tuned) == (method == "lora")


def test_stage_three_splits_the_model_before_it_is_moved_to_the_device(runs: Path) -> None:
    """Else the whole model would have to fit on one GPU once."""
    moved = {name: json.loads((runs / "2" / name / "curve.json").read_text())["moved"] for name in STAGES}
    assert sum(moved["zero-3"]) == sum(moved["zero-3 offloaded"]) == 0
    assert sum(moved["zero-2"]) > 0


BFLOAT16_RUNS = ["1/bfloat16", *(f"2/bfloat16 {name}" for name in IN_BFLOAT16)]


@pytest.mark.parametrize("run", BFLOAT16_RUNS)
def test_the_curve_in_bfloat16_is_that_of_float32_within_its_rounding(runs: Path, run: str) -> None:
    """The base computes in bfloat16, of 8 binary digits; adapter, loss and optimizer stay in float32.

    Query loss within 3 % of the float32 run's, gradient norm within 5 %, the divergence, of at most 0.0026, within
    0.0003; and workers and stages differ among themselves by what another order of sums makes.
    """
    ours, expected, alone = curve(runs / run), curve(runs / "1" / "torch"), curve(runs / "1" / "bfloat16")
    torch.testing.assert_close(ours[:, 0], expected[:, 0], rtol=0.03, atol=0)
    torch.testing.assert_close(ours[:, 1], expected[:, 1], rtol=0, atol=0.0003)
    torch.testing.assert_close(ours[:, 2], expected[:, 2], rtol=0.05, atol=0)
    torch.testing.assert_close(ours, alone, rtol=0.01, atol=1e-5)
    assert not torch.equal(ours[:, 0], expected[:, 0])  # it really is another precision
    dtypes = json.loads((runs / run / "curve.json").read_text())["dtypes"]
    assert dtypes == {"tuned": ["torch.float32"], "frozen": ["torch.bfloat16"]}
    tuned = safetensors.torch.load_file(runs / run / BEST_NAME)
    assert {weight.dtype for weight in tuned.values()} == {torch.float32}
