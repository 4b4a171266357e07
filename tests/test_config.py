from dataclasses import FrozenInstanceError, asdict
import json
import pickle

import pytest

from raycalib.config import DEFAULT_METHODS, PipelineConfig
from raycalib.errors import ConfigError
from raycalib.lm.engines.settings import EngineName, EngineSettings
from raycalib.stages.settings import DeviceName, RaySettings
from raycalib.tuning.settings import TuningSettings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("models", (), "models: at least one is needed"),
        ("styles", ("oe", "essay"), "styles: 'essay' is unknown; allowed: oe, choice"),
        ("styles", (), "styles: at least one is needed; allowed: oe, choice"),
        ("styles", ("oe", "oe"), "styles: oe, oe names one twice; name each once"),
        (
            "methods",
            ("magic",),
            "methods: 'magic' is unknown; allowed: zero_shot_query, answer_likelihood, option_likelihood, "
            "family_rate, lora_prompt, lora, "
            "probe, combined",
        ),
        (
            "methods",
            ("probe", "combined"),
            "methods: combined is made of 2 tuned ones at least; name more of lora_prompt, lora, probe",
        ),
        ("scaling", "isotonic", "scaling: 'isotonic' is unknown; allowed: temperature, platt"),
        ("grader", "fuzzy", "grader: 'fuzzy' is unknown; allowed: exact, contains, substring, judge"),
        ("max_new_tokens", 0, "max_new_tokens: 0 is not allowed; at least 1"),
        (
            "max_tokens",
            32,
            "max_tokens: 32 is not allowed; above max_new_tokens (32), so that there is room for the question",
        ),
        ("max_batch_tokens", -5, "max_batch_tokens: -5 is not allowed; at least 1"),
        ("rows_per_shard", 0, "rows_per_shard: 0 is not allowed; at least 1"),
        ("n_resamples", 0, "n_resamples: 0 is not allowed; at least 1"),
        ("max_failed", 1.1, "max_failed: 1.1 is not allowed; a share from 0 to 1"),
        ("max_unscored", float("nan"), "max_unscored: nan is not allowed; a share from 0 to 1"),
        ("seed", -1, "seed: -1 is not allowed; at least 0"),
    ],
)
def test_a_wrong_value_names_field_value_and_what_is_allowed(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PipelineConfig(**{field: value})
    assert str(raised.value) == message


def test_adapters_and_probes_that_are_given_may_be_combined() -> None:
    config = PipelineConfig(methods=("combined",), adapters=("a",), probes=("b",))
    assert config.methods == ("combined",)


def test_sharding_over_one_worker_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tuning\.zero_stage: 2 shards over several workers, and ray\.train_workers"):
        PipelineConfig(tuning=TuningSettings(zero_stage=2), ray=RaySettings(train_workers=1))


@pytest.mark.parametrize(
    ("gpus", "device", "on_gpu"), [(0, "auto", False), (0, "cpu", False), (0.5, "auto", True), (1, "cuda", True)]
)
def test_models_compute_on_the_gpus_that_workers_ask_for(gpus: float, device: DeviceName, on_gpu: bool) -> None:
    assert RaySettings(gpus_per_worker=gpus, device=device).on_gpu is on_gpu


def test_models_compute_on_the_cpu_where_that_is_said_though_workers_take_gpus() -> None:
    ray = RaySettings(gpus_per_worker=1, device="cpu")
    assert (ray.on_gpu, ray.gpus_per_worker, ray.gpus_per_trainer) == (False, 1, 1)
    with pytest.raises(ConfigError, match=r"ray\.device: cpu is not allowed with --engine vllm"):
        PipelineConfig(engine=EngineSettings(name="vllm"), ray=ray)


def test_a_trainer_takes_whole_gpus() -> None:
    assert [RaySettings(gpus_per_worker=gpus).gpus_per_trainer for gpus in (0, 0.25, 1, 1.5, 2)] == [0, 1, 1, 1, 1]


def test_workers_that_use_transformers_take_at_most_one_gpu() -> None:
    assert [RaySettings(gpus_per_worker=gpus).gpus_per_transformer for gpus in (0, 0.25, 1, 4)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize(
    ("engine", "gpus", "message"),
    [
        (
            "transformers",
            2.0,
            "ray.gpus_per_worker: 2 is not allowed with --engine transformers, whose worker uses one",
        ),
        ("openai", 2.0, "ray.gpus_per_worker: 2 is not allowed with --engine openai"),
        ("vllm", 1.5, "ray.gpus_per_worker: 1.5 is not allowed; a tensor-parallel group has whole GPUs"),
    ],
)
def test_gpus_that_an_engine_cannot_use_are_refused(engine: EngineName, gpus: float, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        PipelineConfig(engine=EngineSettings(name=engine), ray=RaySettings(gpus_per_worker=gpus))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("engine", "gpus"), [("vllm", 0.5), ("vllm", 4.0), ("transformers", 0.5), ("transformers", 1.0)]
)
def test_fractions_and_tensor_parallel_groups_are_allowed(engine: EngineName, gpus: float) -> None:
    assert (
        PipelineConfig(engine=EngineSettings(name=engine), ray=RaySettings(gpus_per_worker=gpus)).ray.gpus_per_worker
        == gpus
    )


def test_fewer_workers_at_most_than_at_least_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ray\.max_workers: 2 is not allowed; at least ray\.min_workers \(3\), or 0"):
        RaySettings(min_workers=3, max_workers=2)
    assert RaySettings(min_workers=3).max_workers == 0


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        PipelineConfig(styles=("essay",), methods=("magic",), seed=-1, rows_per_shard=0)
    for part in ("styles: 'essay'", "methods: 'magic'", "seed: -1", "rows_per_shard: 0"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("min_workers", 0, "ray.min_workers: 0 is not allowed; at least 1"),
        ("max_workers", -1, "ray.max_workers: -1 is not allowed; at least 0"),
        ("device", "gpu", "ray.device: 'gpu' is unknown; allowed: auto, cpu, cuda"),
        ("device", "cuda", "ray.device: cuda needs workers with GPUs; add --ray.gpus-per-worker 1, or use auto"),
        ("gpus_per_worker", -0.5, "ray.gpus_per_worker: -0.5 is not allowed; at least 0"),
        ("cpus_per_worker", 0.0, "ray.cpus_per_worker: 0.0 is not allowed; above 0"),
        ("train_workers", -1, "ray.train_workers: -1 is not allowed; at least 0"),
        ("silent_for_s", 0, "ray.silent_for_s: 0 is not allowed; above 0"),
        ("silent_for_s", float("nan"), "ray.silent_for_s: nan is not allowed; above 0"),
        ("wait_for_nodes_s", 0, "ray.wait_for_nodes_s: 0 is not allowed; above 0"),
    ],
)
def test_wrong_ray_settings_are_named(field: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        RaySettings(**{field: value})
    assert str(raised.value) == message


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="sed"):
        PipelineConfig(sed=3)  # type: ignore[call-arg]


def test_a_configuration_is_plain_frozen_data() -> None:
    config = PipelineConfig()
    assert json.loads(json.dumps(asdict(config)))["tuning"]["lora"]["rank"] == 8
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(FrozenInstanceError):
        config.seed = 3  # type: ignore[misc]


def test_methods_are_baselines_and_trained_ones() -> None:
    baselines = ("zero_shot_query", "answer_likelihood", "option_likelihood", "family_rate")
    assert (*baselines, "lora_prompt", "probe") == DEFAULT_METHODS
