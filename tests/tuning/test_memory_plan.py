from dataclasses import replace

import pytest

from raycalib.errors import ConfigError
from raycalib.lm.find_shape import find_shape
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.lm.model_shape import ModelShape
from raycalib.lm.names import ModelSource
from raycalib.tuning.memory_plan import GIB, PlannedRun, base_bytes, longest_row, memory_plan
from raycalib.tuning.plan_remedies import remedies
from raycalib.tuning.plan_settings import PlanSettings
from raycalib.tuning.plan_table import plan_table


def shape_of(hub_id: str) -> ModelShape:
    return find_shape(ModelSource(name=hub_id, path=hub_id, is_local=False))


SMALL = shape_of("meta-llama/Llama-2-7b-hf")
LARGE = shape_of("meta-llama/Llama-2-70b-hf")
RUN = PlannedRun(shape=SMALL, lora=LoraSettings())
N_SMALL, N_LORA = 6_738_415_616, 32 * 8 * (2 * 8192)
N_LINEAR = 32 * (4 * 4096**2 + 3 * 4096 * 11008)


@pytest.mark.parametrize(
    ("itemsize", "bits", "expected"),
    [
        (2, 16, 2 * N_SMALL),
        (4, 16, 4 * N_SMALL),
        (2, 8, 2 * (N_SMALL - N_LINEAR) + N_LINEAR + 4 * 32 * (4 * 4096 + 2 * 11008 + 4096)),
        (2, 4, 2 * (N_SMALL - N_LINEAR) + N_LINEAR // 2 + 4 * N_LINEAR // 64),
    ],
)
def test_the_base_model(itemsize: int, bits: int, expected: int) -> None:
    assert base_bytes(replace(RUN, itemsize=itemsize, base_bits=bits)) == expected


def test_four_bits_take_four_and_a_half() -> None:
    of_linear = base_bytes(replace(RUN, base_bits=4)) - 2 * (N_SMALL - N_LINEAR)
    assert 8 * of_linear / N_LINEAR == 4.5


@pytest.mark.parametrize(
    ("workers", "stage", "offload", "on_device", "on_host"),
    [
        (1, 0, False, 16, 0),  # weights, gradients, two moments: four numbers of four bytes
        (4, 0, False, 16, 0),
        (4, 1, False, 8 + 12 / 4, 0),  # ZeRO's own copy beside the moments
        (4, 2, False, 4 + 16 / 4, 0),
        (4, 3, False, 4 + 16 / 4, 0),
        (4, 2, True, 4 + 4 / 4, 12 / 4),
        (4, 3, True, 4 + 4 / 4, 12 / 4),
    ],
)
def test_bytes_per_parameter_of_the_adapter(
    workers: int, stage: int, offload: bool, on_device: float, on_host: float
) -> None:
    plan = memory_plan(replace(RUN, workers=workers, zero_stage=stage, offload_optimizer=offload))
    assert plan.adapter == on_device * N_LORA
    assert plan.host == on_host * N_LORA
    assert plan.buckets == (4 * N_LORA if workers > 1 else 0)


def test_only_zero_3_splits_the_base_model() -> None:
    whole = memory_plan(replace(RUN, workers=8, zero_stage=2))
    split = memory_plan(replace(RUN, workers=8, zero_stage=3))
    offloaded = memory_plan(replace(RUN, workers=8, zero_stage=3, offload_parameters=True))
    assert (whole.weights, split.weights, offloaded.weights) == (2 * N_SMALL, 2 * N_SMALL // 8, 0)
    assert (whole.host, split.host, offloaded.host) == (0, 0, 2 * N_SMALL // 8)
    assert (whole.gathered, split.gathered) == (0, 2 * 1_050_000_000)
    assert memory_plan(replace(RUN, base_bits=4)).gathered == 2 * 4096 * 11008  # one weight, spelled out
    assert split.kept > whole.kept  # its linear modules keep their inputs


def test_the_total_is_the_sum_of_its_parts() -> None:
    plan = memory_plan(replace(RUN, workers=2, zero_stage=3))
    parts = vars(plan).items()
    assert plan.total == sum(n for name, n in parts if name not in ("host", "host_at_start", "disk"))
    assert plan.reserve == round(0.1 * (plan.kept + plan.worst_moment))
    assert plan.runtime == GIB


def test_the_pass_grows_with_its_tokens_and_not_with_their_square() -> None:
    kept = [memory_plan(replace(RUN, tokens_per_row=n)).kept for n in (300, 600, 1200)]
    assert kept[1] / kept[0] == pytest.approx(2, rel=0.01)
    assert kept[2] / kept[1] == pytest.approx(2, rel=0.01)


def test_checkpointing_keeps_the_layers_inputs() -> None:
    plain, checkpointed = (memory_plan(replace(RUN, gradient_checkpointing=on)) for on in (False, True))
    per_token = 32 * 4096 * 2 + 4 * 4096 + 4 + 2 * 128 * 2
    assert checkpointed.kept == 1200 * per_token
    assert checkpointed.worst_moment > plain.worst_moment
    assert 5 * (checkpointed.kept + checkpointed.worst_moment) < plain.kept


def test_reading_at_validation_can_be_the_worst_moment() -> None:
    tiny = memory_plan(replace(RUN, micro_batch_size=1, tokens_per_row=20, gradient_checkpointing=True))
    reading = 8192 * (2 * (3 * 11008 + 4 * 4096) + 2 * 2 * 128)
    assert tiny.kept + tiny.worst_moment == reading


def test_reference_states_on_disk() -> None:
    assert memory_plan(RUN).disk == 20_000 * 12 * 4096 * 2
    assert memory_plan(replace(RUN, reference_itemsize=4)).disk == 2 * memory_plan(RUN).disk
    without = memory_plan(replace(RUN, compares=False))
    assert without.disk == 0
    assert without.kept < memory_plan(RUN).kept  # no branch, whose keys and values are copied


def test_the_longest_row_fits_and_the_next_does_not() -> None:
    longest = longest_row(RUN, 40 * GIB)
    assert 300 < longest < 2048
    assert memory_plan(replace(RUN, tokens_per_row=longest)).total <= 40 * GIB
    assert memory_plan(replace(RUN, tokens_per_row=longest + 1)).total > 40 * GIB
    assert longest_row(RUN, 10 * GIB) == 0


def flags(run: PlannedRun, memory: int, base_bits: tuple[int, ...] = ()) -> list[str]:
    return [remedy.flags for remedy in remedies(run, memory, base_bits)]


def test_remedies_come_in_the_order_of_their_cost_and_end_with_the_first_that_fits() -> None:
    big = replace(RUN, shape=LARGE)
    small_pass = "--tuning.micro-batch-size 1 --tuning.gradient-checkpointing"
    assert flags(big, 79 * GIB, (8, 4)) == [
        "--tuning.micro-batch-size 2",
        "--tuning.micro-batch-size 1",
        small_pass,
        f"{small_pass} --tuning.base-bits 8",
    ]
    assert flags(big, 36 * GIB)[-2:] == [
        f"{small_pass} --tuning.zero-stage 3 --ray.train-workers 4",
        f"{small_pass} --tuning.zero-stage 3 --ray.train-workers 8",
    ]
    assert flags(big, 15 * GIB)[-1] == (
        f"{small_pass} --tuning.zero-stage 3 --ray.train-workers 2 --tuning.offload-parameters"
    )
    assert flags(RUN, 18 * GIB) == ["--tuning.micro-batch-size 2"]


def test_remedies_leave_out_what_is_in_place() -> None:
    run = replace(
        RUN,
        shape=LARGE,
        micro_batch_size=1,
        gradient_checkpointing=True,
        workers=8,
        zero_stage=3,
        offload_parameters=True,
    )
    assert flags(run, GIB) == []
    on_cpu = replace(run, workers=1, zero_stage=0, offload_parameters=False, on_gpu=False)
    assert flags(on_cpu, GIB, (8, 4)) == []


def test_each_remedy_takes_less_than_the_run() -> None:
    run = replace(RUN, shape=LARGE, lora=LoraSettings(rank=64, targets=ALL_LINEAR_TARGETS))
    found = remedies(run, GIB, (8, 4))
    assert len(found) == 9
    assert all(remedy.plan.total < memory_plan(run).total for remedy in found)


def test_the_table_says_what_fits() -> None:
    lines = plan_table("a model", RUN, 79 * GIB, "(a card)")
    assert lines[0] == "a model: 1 worker; 4 x 300 tokens a pass; rank 8 on q_proj, v_proj"
    assert "  frozen base model              12.55 GiB  6,738,415,616 parameters of 16 bits" in lines
    total = memory_plan(RUN).total / GIB
    assert f"  one worker                  {total:8.2f} GiB  of 79.00 GiB (a card): fits" in lines
    assert f"  rows of up to {longest_row(RUN, 79 * GIB):,} tokens fit, 4 a pass" in lines
    assert any("1.83 GiB  the base model's states, 20,000 rows of 12 answer tokens" in line for line in lines)


def test_the_table_says_what_to_do_where_it_does_not_fit() -> None:
    run = replace(RUN, workers=2, zero_stage=3, offload_parameters=True, offload_optimizer=True)
    lines = plan_table("a model", run, 5 * GIB, "(a card)")
    assert lines[0].endswith("ZeRO-3; optimizer offloaded; parameters offloaded")
    assert any("of 5.00 GiB (a card): does not fit" in line for line in lines)
    place = lines.index("  to try, in this order:")
    assert lines[place + 1].endswith("does not: --tuning.micro-batch-size 2")
    assert any("fits: --tuning.micro-batch-size 1" in line for line in lines[place:])
    assert any("parameters of 16 bits, 1/2 a worker, in the host's memory" in line for line in lines)
    nothing = plan_table("a model", run, GIB, "(a card)")
    assert "    no remedy is enough: take a smaller model, or more or larger GPUs" in nothing


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rows", 0, "planning.rows: 0 is not allowed; at least 1"),
        ("tokens_per_row", 0, "planning.tokens_per_row: 0 is not allowed; at least 1"),
        ("answer_tokens", 300, "planning.answer_tokens: 300 is not allowed; below planning.tokens_per_row"),
        ("gpu_gib", -1.0, "planning.gpu_gib: -1.0 is not allowed; above 0"),
        ("gpu_gib", float("nan"), "planning.gpu_gib: nan is not allowed; above 0"),
    ],
)
def test_assumptions_that_cannot_be(field: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PlanSettings(**{field: value})  # type: ignore[arg-type]
