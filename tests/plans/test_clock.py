"""Hours on the clock: arithmetic written out, and the table of docs/scale.md."""

from dataclasses import replace
from pathlib import Path
import re

import pytest

from jobs.sweep import main
from raycalib.plans.clock import pools_clock, trials_clock
from raycalib.plans.run_plan import plan_lines
from raycalib.recipes import recipe


def test_pools_start_and_end_once_each() -> None:
    found = pools_clock(16.0, 3, 8)
    assert found.hours == pytest.approx(2 + 3 * 80 / 3600)
    assert found.share == pytest.approx(2 / (2 + 1 / 15))
    assert pools_clock(0.0, 0, 8).share == 1.0


@pytest.mark.parametrize(
    ("trials", "workers", "n_gpus", "begun", "hours", "share"),
    [
        ([1.0] * 12, 1, 64, 0.0, 1.0, 12 / 64),
        ([4.0] * 12, 4, 64, 0.0, 1.0, 48 / 64),
        ([3.0, 3.0, 2.0, 2.0, 2.0], 1, 2, 0.0, 7.0, 12 / 14),  # 3 + 2 + 2 and 3 + 2
        ([1.0, 1.0, 2.0], 1, 2, 0.0, 2.0, 1.0),  # the longest first
        ([1.0] * 3, 2, 5, 0.0, 1.0, 3 / 5),  # two at once on four of the five
        ([2.0, 2.0], 1, 2, 4.0, 4.0, 1.0),
        ([4.0], 8, 2, 0.0, 0.5, 1.0),  # as many GPUs as it needs
        ([], 1, 4, 8.0, 2.0, 1.0),
    ],
)
def test_trials_fill_the_gpus_that_they_have(
    trials: list[float], workers: int, n_gpus: int, begun: float, hours: float, share: float
) -> None:
    found = trials_clock(trials, workers, n_gpus, begun)
    assert (found.hours, found.share) == (pytest.approx(hours), pytest.approx(share))


def shares(line: str) -> list[float]:
    """What a plan says of the GPUs' time at work, of each part."""
    return [int(each) / 100 for each in re.findall(r"(\d+)%", line)]


def of_paper(n_gpus: int, workers: int) -> list[float]:
    config = recipe("paper")
    planning, ray = replace(config.planning, gpus=n_gpus), replace(config.ray, train_workers=workers)
    (line,) = (line for line in plan_lines(replace(config, planning=planning, ray=ray)) if "on the clock:" in line)
    return shares(line)


def of_sweep(n_gpus: int, capsys: pytest.CaptureFixture[str]) -> float:
    main(["--recipe", "sweep12", "--plan", "--planning.gpus", str(n_gpus), "--ray.train-workers", "1"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("estimate"))
    return shares(line)[0]


def test_the_guides_table_is_the_plans(capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(): line.split("|")[2:4] for line in guide.splitlines() if line.startswith("| ")}
    for column, n_gpus in enumerate((8, 64)):
        pools, tuning = of_paper(n_gpus, 1)
        expected = {
            "`paper`: answers, features and scoring (14 GPU-hours)": pools,
            "`paper`: tuning, twelve trials": tuning,
            "the same with `--ray.train-workers 4`": of_paper(n_gpus, 4)[1],
            "`sweep12`: features and tuning, 180 trials": of_sweep(n_gpus, capsys),
        }
        found = {name: float(rows[name][column].split()[0].rstrip(",")) for name in expected}
        assert found == expected
