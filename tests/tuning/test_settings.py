from dataclasses import FrozenInstanceError

import pytest

from raycalib.errors import ConfigError
from raycalib.tuning.settings import ProbeSettings, TuningSettings, check_workers


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "tuning.steps: 0 is not allowed; at least 1"),
        ("global_batch_size", -1, "tuning.global_batch_size: -1 is not allowed; at least 1"),
        ("micro_batch_size", 0, "tuning.micro_batch_size: 0 is not allowed; at least 1"),
        ("max_tokens", 0, "tuning.max_tokens: 0 is not allowed; at least 1"),
        ("eval_every", 0, "tuning.eval_every: 0 is not allowed; at least 1"),
        ("checkpoint_every", 0, "tuning.checkpoint_every: 0 is not allowed; at least 1"),
        ("schedule", "linear", "tuning.schedule: 'linear' is unknown; allowed: cosine, wsd"),
        ("decay_share", 0.0, "tuning.decay_share: 0.0 is not allowed; above 0 and at most 1"),
        ("decay_share", 1.1, "tuning.decay_share: 1.1 is not allowed; above 0 and at most 1"),
        ("decay_share", float("nan"), "tuning.decay_share: nan is not allowed; above 0 and at most 1"),
        ("warmup_steps", -1, "tuning.warmup_steps: -1 is not allowed; at least 0"),
        ("weight_decay", -0.1, "tuning.weight_decay: -0.1 is not allowed; at least 0"),
        ("kl_decay", -1.0, "tuning.kl_decay: -1.0 is not allowed; at least 0"),
        ("lr", 0.0, "tuning.lr: 0.0 is not allowed; above 0"),
        ("max_grad_norm", 0.0, "tuning.max_grad_norm: 0.0 is not allowed; above 0"),
        ("kl_kind", "l2", "tuning.kl_kind: 'l2' is unknown; allowed: jsd, forward, reverse"),
        ("zero_stage", 4, "tuning.zero_stage: 4 is not allowed; one of (0, 1, 2, 3)"),
    ],
)
def test_a_wrong_value_names_field_value_and_what_is_allowed(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        TuningSettings(**{field: value})
    assert str(raised.value) == message


@pytest.mark.parametrize("field", ["steps", "batch_size", "eval_every", "lr"])
def test_wrong_probe_settings_are_named(field: str) -> None:
    allowed = "above 0" if field == "lr" else "at least 1"
    with pytest.raises(ConfigError, match=rf"^probe\.{field}: -1 is not allowed; {allowed}$"):
        ProbeSettings(**{field: -1})


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        TuningSettings(steps=0, lr=-1.0, kl_kind="l2")  # type: ignore[arg-type]
    assert str(raised.value).split("; ")[::2] == [
        "tuning.steps: 0 is not allowed",
        "tuning.lr: -1.0 is not allowed",
        "tuning.kl_kind: 'l2' is unknown",
    ]


def test_unknown_fields_are_errors() -> None:
    with pytest.raises(TypeError, match="stepz"):
        TuningSettings(stepz=3)  # type: ignore[call-arg]


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TuningSettings().steps = 3  # type: ignore[misc]


def test_the_defaults_are_the_papers() -> None:
    settings = TuningSettings()
    assert (settings.steps, settings.lr, settings.kl_decay, settings.kl_kind) == (5000, 1e-4, 1.0, "jsd")
    assert (settings.lora.rank, settings.lora.alpha, settings.lora.dropout) == (8, 32.0, 0.1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (TuningSettings(zero_stage=2), "tuning.zero_stage: 2 is not allowed with one worker"),
        (
            TuningSettings(zero_stage=3, offload_optimizer=True, offload_parameters=True),
            "tuning.zero_stage: 3, tuning.offload_optimizer: True, tuning.offload_parameters: True is not allowed with",
        ),
    ],
)
def test_one_worker_alone_has_nothing_to_split_with(settings: TuningSettings, named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_workers(settings, 1)
    assert str(raised.value).startswith(named)
    check_workers(settings, 2)
    check_workers(TuningSettings(), 1)
