"""The plan of a whole run: its sums are those of its lines, and what it says of judge, disks and head."""

from dataclasses import replace
from pathlib import Path
import re

import pytest

from raycalib.judging.settings import JudgeSettings
from raycalib.plans.gpu_prices import gpu_price
from raycalib.plans.run_plan import once_lines, plan_lines
from raycalib.recipes import RECIPES, recipe

ROW = re.compile(r"^  (\S.*?)  +([\d,]+) +([\d,]+) +([\d,]+) +([\d.,]+) +([\d.,]+)$")


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_the_papers_twelve_combos_are_planned_whole() -> None:
    lines = plan_lines(recipe("paper"))
    assert lines[0].startswith("12 combos of 6 model(s), rows of each")
    rows = {match[1]: match for line in lines if (match := ROW.match(line))}
    assert list(rows) == ["answers", "features", "tuning, lora_prompt", "scoring by what is tuned"]
    n_rows = 12 * (20_000 + 1_000 + 1_000 + 14_042)
    assert {name: number(match[2]) for name, match in rows.items()} == {
        "answers": n_rows,
        "features": n_rows,
        "tuning, lora_prompt": 12 * 5_000 * 16,
        "scoring by what is tuned": 12 * (1_000 + 14_042),
    }
    (total,) = (line.split() for line in lines if line.startswith("  in all"))
    assert number(total[-2]) == pytest.approx(sum(number(match[5]) for match in rows.values()), abs=0.25)
    assert number(total[-1]) == pytest.approx(sum(number(match[6]) for match in rows.values()), abs=0.05)
    price = gpu_price("H100", None)
    assert number(total[-1]) == pytest.approx(number(total[-2]) * price.dollars_per_hour, rel=0.01)
    by_model = [number(line.split("$")[1]) for line in lines if re.match(r"^  \S+: [\d.]+ GPU-hours", line)]
    assert len(by_model) == 6
    assert sum(by_model) == pytest.approx(number(total[-1]), abs=0.05)
    text = "\n".join(lines)
    assert "labels: by comparing strings (substring), seconds of a CPU, nothing to pay" in text
    assert "the head of a cluster: 8 GB of memory" in text
    assert "cache of weights on a node (HF_HOME): up to 108.0 GB for all models, 26.0 for the largest" in text
    assert "one worker                     38.13 GiB" in text


def test_hours_on_the_clock_follow_the_number_of_gpus() -> None:
    def clock(n_gpus: int) -> float:
        config = recipe("paper")
        lines = plan_lines(replace(config, planning=replace(config.planning, gpus=n_gpus)))
        (found,) = (re.search(r"on the clock: ([\d.,]+) hours", line) for line in lines if "on the clock:" in line)
        assert found is not None
        return number(found[1])

    assert clock(1) == pytest.approx(4 * clock(4), rel=0.05)
    # No more than twelve combos are tuned at once, 13B for the longest; all else is shared out among thirty-six, in
    # three pools of which each takes eighty seconds to start and to end.
    rows = {match[1]: number(match[5]) for line in plan_lines(recipe("paper")) if (match := ROW.match(line))}
    rows.pop("tuning, lora_prompt")
    assert clock(36) == pytest.approx(sum(rows.values()) / 36 + 240 / 3600 + longest(), abs=0.06)


def longest() -> float:
    """Hours of a GPU for tuning 13B once, by its plan alone."""
    lines = plan_lines(replace(recipe("paper"), models=("llama2:13b",), styles=("oe",)))
    (hours,) = (number(match[5]) for line in lines if (match := ROW.match(line)) and match[1].startswith("tuning"))
    return hours


def test_a_rehearsal_on_processors_has_no_price() -> None:
    config = recipe("paper")
    lines = plan_lines(replace(config, ray=replace(config.ray, device="cpu")))
    assert any(line.startswith("hours: none is known for processors") for line in lines)


def test_a_judge_is_asked_about_open_ended_answers_alone_at_its_price() -> None:
    judge = JudgeSettings(model="gpt-4o-mini")
    lines = plan_lines(replace(recipe("paper"), grader="judge", judge=judge))
    (labels,) = (line for line in lines if line.startswith("labels: "))
    n_rows = 6 * (20_000 + 1_000 + 1_000 + 14_042)
    assert f"{n_rows:,} to be judged by gpt-4o-mini" in labels
    found = re.search(r"about ([\d,]+) tokens in and ([\d,]+) out, about \$([\d.,]+)", labels)
    assert found is not None
    dollars = (number(found[1]) * 0.15 + number(found[2]) * 0.6) / 1e6
    assert number(found[3]) == pytest.approx(dollars, rel=0.01)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_plan(name: str) -> None:
    config = recipe(name)
    text = "\n".join(plan_lines(config))
    assert ("hours: none is known for processors" in text) == (not config.ray.on_gpu)
    assert "storage of --out: " in text


def test_baselines_alone_are_planned_without_a_table_of_tuning() -> None:
    text = "\n".join(plan_lines(replace(recipe("paper"), methods=("zero_shot_query",))))
    assert "features" in text
    assert "tokens a pass" not in text


def test_a_sweep_keeps_an_adapter_of_each_trial() -> None:
    config = recipe("paper")
    few, many = (re.search(r"([\d.]+) of adapters", "\n".join(once_lines(config, n_trials))) for n_trials in (12, 180))
    assert few is not None
    assert many is not None
    assert number(many[1]) == pytest.approx(15 * number(few[1]), rel=0.05)


def test_the_guides_table_is_the_plans() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "planning.md").read_text("utf-8")
    (block,) = re.findall(r"```\n\$ python jobs/full_pipeline.py --recipe paper --plan\n(.*?)```\n", guide, re.DOTALL)
    assert block in "".join(f"{line}\n" for line in plan_lines(recipe("paper")))


@pytest.mark.parametrize(
    ("where", "gpu", "flags"),
    [
        ("p5.4xlarge", "H100", False),
        ("g6e.2xlarge", "L40S", True),
        ("a2-ultragpu-1g", "A100", False),
        ("a2-highgpu-1g", "A100", True),
    ],
)
def test_what_the_clusters_cost_is_the_plans(where: str, gpu: str, flags: bool) -> None:
    page = (Path(__file__).parents[2] / "cluster" / "README.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| ") and f", {where}" in line and "h:" in line)
    *_, price, cost, _ = (cell.strip() for cell in row.split("|"))
    config = recipe("paper")
    config = replace(
        config,
        planning=replace(config.planning, gpu=gpu),
        tuning=replace(config.tuning, gradient_checkpointing=flags),
    )
    (total,) = (line.split() for line in plan_lines(config) if line.startswith("  in all"))
    hours = number(total[-2])
    prices = [float(each) for each in re.findall(r"[\d.]+", price)]
    found = [float(each) for each in re.findall(r"\d+", cost)]
    assert found[0] == round(hours)
    assert found[1:] == pytest.approx([hours * each for each in prices], abs=1.0)
