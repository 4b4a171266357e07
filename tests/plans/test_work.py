"""Rows, tokens and hours of stages, by arithmetic written out."""

from dataclasses import replace

import pytest

from raycalib.config import PipelineConfig
from raycalib.lm.engines.settings import EngineSettings
from raycalib.plans.gpu_prices import GpuPrice
from raycalib.plans.memory import planned_run
from raycalib.plans.rows import PlannedRows
from raycalib.plans.work import StageWork, combo_work
from raycalib.stages.settings import RaySettings
from raycalib.tuning.compute_plan import reading_flops, tuning_flops
from raycalib.tuning.plan_settings import PlanSettings
from raycalib.tuning.settings import TuningSettings
from tests.tuning.test_compute_plan import RUN

ROWS = PlannedRows(train=100, val_select=20, val_calibrate=30, evaluated={"test": 50}, is_counted=True)
CONFIG = PipelineConfig(
    max_new_tokens=40,
    max_batch_tokens=1000,
    planning=PlanSettings(tokens_per_row=100, eval_tokens_per_row=200, answer_tokens=10),
    tuning=TuningSettings(steps=10, global_batch_size=4, micro_batch_size=4, eval_every=5, warmup_steps=0),
    ray=RaySettings(gpus_per_worker=1),
)
LEARNED = replace(planned_run(CONFIG, RUN.shape), rows=100)
EVALUATED = replace(LEARNED, tokens_per_row=200)
PRICE = GpuPrice(name="G", dollars_per_hour=2.0, tflops=100, utilisation=0.5, gb_per_second=1000, memory_gib=80)


def stages(config: PipelineConfig = CONFIG, style: str = "oe") -> dict[str, StageWork]:
    return {each.stage: each for each in combo_work(config, LEARNED, style, ROWS, PRICE)}


def test_answers_are_read_and_written() -> None:
    answers = stages()["answers"]
    # Questions of 100 - 2 x 10 and 200 - 2 x 10 tokens; 40 new ones each.
    assert (answers.rows, answers.tokens_read, answers.tokens_written) == (200, 150 * 80 + 50 * 180, 200 * 40)
    # At once 1000 // (80 + 40) = 8 and 1000 // (180 + 40) = 4 rows; every step reads two bytes of each weight.
    n_steps = (150 / 8 + 50 / 4) * 40
    writing = n_steps * LEARNED.shape.n_parameters * 2 / (1000e9 * 0.15) / 3600
    reading = PRICE.hours(reading_flops(LEARNED, 150, 80) + reading_flops(LEARNED, 50, 180))
    assert answers.gpu_hours == pytest.approx(reading + writing)


def test_letters_are_read_alone_and_a_server_takes_no_gpu_of_ours() -> None:
    letters = stages(style="choice")["answers"]
    assert letters.tokens_written == 0
    assert letters.gpu_hours == pytest.approx(
        PRICE.hours(reading_flops(LEARNED, 150, 80) + reading_flops(LEARNED, 50, 180))
    )
    server = replace(CONFIG, engine=EngineSettings(name="openai", base_url="http://127.0.0.1:8000/v1"))
    assert stages(server)["answers"].gpu_hours == 0.0
    fast = stages(replace(CONFIG, engine=EngineSettings(name="vllm")))["answers"].gpu_hours
    assert fast is not None
    assert fast < (stages()["answers"].gpu_hours or 0.0)


def test_features_and_what_is_tuned_read_question_answer_and_query() -> None:
    found = stages(replace(CONFIG, methods=("lora_prompt", "lora"), adapters=("one", "two=x")))
    assert (found["features"].rows, found["features"].tokens_read) == (200, 150 * 90 + 50 * 190)
    flops = reading_flops(LEARNED, 150, 90) + reading_flops(EVALUATED, 50, 190)
    assert found["features"].gpu_hours == pytest.approx(PRICE.hours(flops))
    scoring = found["scoring by what is tuned"]
    assert (scoring.rows, scoring.tokens_read) == (4 * 80, 4 * (30 * 90 + 50 * 190))


def test_tuning_has_steps_evaluations_and_states_to_compare_with() -> None:
    found = stages(replace(CONFIG, methods=("lora_prompt", "lora")))
    compared, alone = found["tuning, lora_prompt"], found["tuning, lora"]
    assert (compared.rows, compared.tokens_read) == (40, 40 * 100)
    assert (alone.rows, alone.tokens_read) == (40, 40 * 90)
    steps = tuning_flops(replace(LEARNED, compares=True), 10, 4, 5, 20).total
    assert compared.gpu_hours == pytest.approx(PRICE.hours(steps + reading_flops(LEARNED, 40, 100)))
    plain = tuning_flops(replace(LEARNED, compares=False), 10, 4, 5, 20).total
    assert alone.gpu_hours == pytest.approx(PRICE.hours(plain))


def test_what_comes_in_is_not_answered_and_nothing_tuned_scores_nothing() -> None:
    given = replace(CONFIG, labelled="there.jsonl", methods=("probe",))
    assert list(stages(given)) == ["features"]


def test_of_processors_no_hours_are_known() -> None:
    works = combo_work(CONFIG, LEARNED, "oe", ROWS, None)
    assert [work.gpu_hours for work in works] == [None] * len(works)
