"""The job's command line, before anything is started."""

from pathlib import Path
import re

import pytest

from jobs.sweep import main
from raycalib.errors import ConfigError

CELLS = ["--recipe", "smoke", "--axis", "kl_decay=0,1"]


def test_repeats_of_a_cell_are_not_compared_with_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"reduction_factor: with --axis seed, .* repeat the chosen cells by --conf"):
        main([*CELLS, "--axis", "seed=1,2", "--reduction-factor", "3", "--plan"])
    main([*CELLS, "--axis", "seed=1", "--reduction-factor", "3", "--plan"])
    main([*CELLS, "--axis", "seed=1,2", "--plan"])


def test_an_estimate_is_refused_and_asks_no_judge() -> None:
    with pytest.raises(ConfigError, match="estimate: this would start a run"):
        main([*CELLS, "--grader", "judge", "--judge-model", "m", "--estimate"])


def test_the_plan_says_trials_and_what_they_share(capsys: pytest.CaptureFixture[str]) -> None:
    main([*CELLS, "--axis", "steps=12,24", "--combos", "llama2:7b/oe", "--plan"])
    said = capsys.readouterr().out
    assert said.startswith("4 trials: 4 of each of 1 combos (kl_decay=0 steps=12; ")
    assert "72 optimizer steps in all, 1,152 rows forward and back" in said
    assert "llama2:7b: 1 worker;" in said
    assert "hours: none is known for processors until a trial is finished" in said
    assert "GPU-hours" not in said


def test_the_plan_of_the_papers_combos_has_hours_dollars_and_what_they_rest_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    main(["--recipe", "sweep12", "--plan", "--workers", "16", "--ray.address", "auto", "--confirm-seeds", "3"])
    said = capsys.readouterr().out
    assert "36 more with other seeds of the chosen cells" in said
    (whole,) = re.findall(r"estimate: ([\d.]+) GPU-hours, \$([\d.]+): ([\d.]+) for optimizer steps, ([\d.]+) for", said)
    # each of the 7b models: 30 + 6 trials of 2,833 steps on average, 16 rows of 300 tokens, 4 operations for each of
    # its 6.476e9 weights and token and a little for attention, at 989e12 * 0.35 a second
    seven = 36 * 8500 / 3 * 16 * 300 * 4 * 6.476e9 / (989e12 * 0.35) / 3600
    assert float(whole[2]) == pytest.approx(seven * (4 + 2 * 1.96), rel=0.03)
    assert float(whole[1]) == pytest.approx(3.99 * float(whole[0]), abs=0.2)
    models = re.findall(r"  \S+: 36 trials, ([\d.]+) GPU-hours", said)
    assert len(models) == 6
    assert sum(map(float, models)) == pytest.approx(float(whole[0]), abs=0.4)
    assert "assumed: 35% of an H100's 989 TFLOP/s in bfloat16, and $3.99 an hour (runpod.io/pricing" in said
    assert (
        "trials at once: as many as the cluster has room for (1 CPU, 1 GPU each), more as nodes join, up to 16" in said
    )
    assert "the head of a cluster: 8 GB of memory, and nothing for trials" in said


def test_trials_of_several_workers_take_room_on_the_head(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--workers", "16", "--ray.address", "auto", "--ray.train-workers", "4"]
    main(["--recipe", "sweep12", "--plan", *flags])
    said = capsys.readouterr().out
    assert "up to 4 (--workers)" in said
    assert "the head of a cluster: 10.4 GB of memory: 8 GB, and 0.6 GB for each of 4 runs of Ray Train at once" in said


def test_what_optuna_will_ask_for_is_not_known_beforehand(capsys: pytest.CaptureFixture[str]) -> None:
    main([*CELLS, "--axis", "steps=12,24", "--styles", "oe", "--search", "optuna", "--samples", "3", "--plan"])
    said = capsys.readouterr().out
    assert said.startswith("3 trials of 4 cells, 4 of each of 1 combos (")
    assert "which of them is not known beforehand, since Optuna's TPE asks for a few at a time" in said
    assert "optimizer steps in all" not in said


def of_eight_gpus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The plan on a machine of eight GPUs and 64 processors."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    # Once DeepSpeed is imported torch asks device_count in its place, and would then look at a GPU that is not there.
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    main(["--recipe", "sweep12", "--plan", *flags])
    return capsys.readouterr().out


@pytest.mark.parametrize(("workers", "at_once"), [("1", 8), ("4", 2)])
def test_the_time_on_the_clock_is_of_all_gpus_however_many_a_trial_has(
    workers: str, at_once: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = of_eight_gpus(monkeypatch, capsys, "--ray.train-workers", workers)
    (found,) = re.findall(r"estimate: ([\d.]+) GPU-hours, .* ([\d.]+) hours on the clock with 8 GPUs at once", said)
    assert float(found[0]) / 8 - 0.06 < float(found[1]) < float(found[0]) / 8 * 1.02
    assert f"trials at once: {at_once} (" in said


def test_a_round_of_optuna_bounds_trials_at_once_and_gives_each_what_a_run_would(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna = ["--search", "optuna", "--samples", "30"]
    said = of_eight_gpus(monkeypatch, capsys, "--combos", "llama2:*/oe", *optuna, "--ray.train-workers", "1")
    assert "trials at once: 8 (1 CPU, 1 GPU each, and this machine has 8 GPUs)" in said, "four combos ask for 16"
    one = ["--combos", "llama2:7b/oe", "--samples", "12", "--search", "optuna"]
    said = of_eight_gpus(monkeypatch, capsys, *one, "--ray.train-workers", "1")
    assert "trials at once: 4 (Optuna asks for 4 at a time)" in said
    assert "hours on the clock with 4 GPUs at once" in said
    said = of_eight_gpus(monkeypatch, capsys, *one)
    assert "trials at once: 1 (8 CPU, 8 GPU each, and this machine has 8 GPUs)" in said, "four are fewer than the GPUs"
    assert "hours on the clock with 8 GPUs at once" in said


def test_prices_of_ones_own_and_a_gpu_that_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "prices.json"
    table.write_text(
        '{"gpus": {"L40S": {"dollars_per_hour": 1, "tflops": 362, "utilisation": 0.3,'
        ' "gb_per_second": 864, "memory_gib": 44}}}'
    )
    gpu = ["--recipe", "sweep12", "--axis", "seed=1", "--plan", "--planning.prices", str(table)]
    main([*gpu, "--planning.gpu", "L40S"])
    (whole,) = re.findall(r"estimate: ([\d.]+) GPU-hours, \$([\d.]+):", capsys.readouterr().out)
    assert float(whole[0]) == pytest.approx(float(whole[1]), abs=0.06)
    with pytest.raises(
        ConfigError, match=r"planning.gpu: 'H100' is not in .*prices.json, which has L40S; name one of them"
    ):
        main(gpu)


def test_the_plan_counts_the_steps_that_lengths_share_once(capsys: pytest.CaptureFixture[str]) -> None:
    wsd = ["--tuning.schedule", "wsd", "--tuning.decay-share", "0.25"]
    main([*CELLS, "--axis", "steps=24,12,48", "--combos", "llama2:7b/oe", *wsd, "--plan"])
    # Of each KL decay 12, then 24 and 48 from the 9 and 18 steps on that the one before each leaves.
    assert "114 optimizer steps in all (and 54 that trials of other steps share), 1,824 rows" in capsys.readouterr().out


def test_the_recipe_of_twelve_combos_has_axes_unless_some_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", "sweep12", "--plan"])
    assert capsys.readouterr().out.startswith("180 trials: 15 of each of 12 combos")
    main(["--recipe=sweep12", "--axis", "seed=1,2", "--plan"])
    assert capsys.readouterr().out.startswith("24 trials: 2 of each of 12 combos")


def test_the_small_sweep_of_twelve_combos_is_on_the_embedded_models(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", "sweep12-demo", "--plan"])
    said = capsys.readouterr().out
    assert said.startswith("48 trials: 4 of each of 12 combos (kl_decay=0 steps=80; ")
    main(["--recipe=sweep12-demo", "--models", "llama2:7b", "--axis", "steps=8,12", "--plan"])
    assert capsys.readouterr().out.startswith("4 trials: 2 of each of 2 combos (steps=8; steps=12)")


def test_lengths_of_a_trunk_are_not_at_work_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wsd = ["--axis", "steps=500,1000,2000,4000,8000", "--combos", "llama2:*/oe"]
    said = of_eight_gpus(monkeypatch, capsys, *wsd, "--ray.train-workers", "1", "--tuning.schedule", "wsd")
    assert "trials at once: 4 (4 in all that do not wait for one another)" in said, "20 cells, a trunk of each combo"
