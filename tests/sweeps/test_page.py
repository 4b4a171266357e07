"""The sweep's page, and what each axis explains."""

from dataclasses import replace
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from raycalib.plans.gpu_prices import GpuPrice
from raycalib.sweeps.axis_shares import axis_shares
from raycalib.sweeps.cost import cost_of
from raycalib.sweeps.page import render_sweep
from raycalib.sweeps.rows_plot import rows_svg
from raycalib.sweeps.spread import seeds_beside
from raycalib.sweeps.trials import Trial
from tests.sweeps.test_selection import trial


def grid_of(effect: dict[tuple[float, int], float]) -> list[Trial]:
    return [trial([nll, nll], kl_decay=kl_decay, steps=steps) for (kl_decay, steps), nll in effect.items()]


def test_shares_of_a_grid_by_hand() -> None:
    # mean 0.5; steps: 0.3 and 0.7, so 4 * 0.2**2 = 0.16; kl_decay: 0.45 and 0.55, so 4 * 0.05**2 = 0.01; whole 0.17
    found = axis_shares(grid_of({(0, 10): 0.25, (0, 20): 0.65, (1, 10): 0.35, (1, 20): 0.75}))
    assert found == pytest.approx({"kl_decay": 0.01 / 0.17, "steps": 0.16 / 0.17})


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_shares_of_a_whole_grid_are_at_most_all_of_it(nll: list[float]) -> None:
    cells = [(kl_decay, steps) for kl_decay in (0.0, 0.5, 1.0) for steps in (10, 20)]
    found = axis_shares(grid_of(dict(zip(cells, nll, strict=True))))
    assert sum(found.values()) <= 1 + 1e-9
    assert all(share >= 0 for share in found.values())


def test_there_are_no_shares_where_nothing_differs() -> None:
    assert axis_shares([]) == {}
    assert axis_shares(grid_of({(0, 10): 0.5, (1, 10): 0.5})) == {}


def test_the_page_shows_the_map_the_chosen_cell_and_what_failed_and_escapes_it() -> None:
    trials = grid_of({(0, 10): 0.25, (0, 20): 0.65, (1, 10): 0.35})
    failed = replace(
        trial([0.0, 0.0], kl_decay=1, steps=20), nll=None, ece=None, auroc=None, reason="<script>", losses=np.empty(0)
    )
    odd = trial([0.5, 0.6], combo="<b>m</b>/oe", steps=10)
    page = render_sweep([*trials, failed, odd], {trials[0].key, odd.key}, "nll")
    assert "Sweep: 5 trials, 1 failed" in page
    assert "Chosen (lora_prompt): kl_decay=0 steps=10" in page
    assert page.count('class="heat"') == 4
    assert ">0.2500</td>" in page
    assert ">–</td>" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "&lt;b&gt;m&lt;/b&gt;/oe" in page
    assert "<b>" not in page
    assert page.count("<polyline") == 3
    assert "http" not in page


def with_rows(losses: list[float], train_rows: int, n_train: int, **more: Any) -> Trial:
    return replace(trial(losses, train_rows=train_rows, **more), n_train=n_train)


def test_the_training_rows_curve_has_the_best_of_each_number_at_its_place() -> None:
    trials = [
        with_rows([0.8, 1.0], 100, 100, lr=1e-3),
        with_rows([1.1, 1.2], 100, 100, lr=1e-4),
        with_rows([0.6, 0.6], 1000, 1000, lr=1e-3),
        with_rows([0.4, 0.6], 0, 10_000, lr=1e-3),
        replace(trial([0.0], train_rows=500), nll=None, reason="no"),
    ]
    plot = rows_svg(trials)
    # 100, 1,000 and 10,000 rows: at the left, in the middle and at the right of 70 to 790
    assert [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', plot)] == [70.0, 430.0, 790.0]
    # NLL 0.9 ± 0.1, 0.6 ± 0 and 0.5 ± 0.1: 1.0 is the top, at 30, 0.4 the bottom, at 230
    middle = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', plot)]
    assert middle == pytest.approx([63.3, 163.3, 196.7], abs=0.1)
    bars = re.findall(r'y1="([\d.]+)" y2="([\d.]+)" stroke="#2166ac"', plot)
    assert [float(low) - float(high) for low, high in bars] == pytest.approx([66.7, 0, 66.7], abs=0.2)
    assert "10,000 rows, train_rows=all lr=0.001: NLL 0.5000 ± 0.1000" in plot
    assert plot.count("<polyline") == 1
    page = render_sweep(trials, {trials[0].key}, "nll")
    assert "<h3>Least NLL by training rows</h3>" in page
    assert plot in page


def test_a_curve_is_drawn_for_each_method_that_rows_are_varied_of() -> None:
    trials = [with_rows([0.5, 0.6], rows, rows, method="probe") for rows in (10, 20)]
    trials += [with_rows([0.4, 0.5], rows, rows, method="lora") for rows in (10, 40)]
    trials += [with_rows([0.4, 0.5], 10, 10, method="lora_prompt")]
    plot = rows_svg(trials)
    assert (plot.count("<polyline"), plot.count("<circle")) == (2, 4)
    assert ">lora</text>" in plot
    assert ">lora_prompt</text>" not in plot
    assert rows_svg([with_rows([0.5, 0.6], 10, 10)]) == ""
    assert rows_svg([replace(trial([0.5, 0.6], steps=n), n_train=n) for n in (1, 2)]) == ""
    assert "Least NLL by training rows" not in render_sweep(grid_of({(0, 10): 0.5}), (), "nll")


def test_the_page_says_what_trials_took_and_the_interval_of_the_chosen_one() -> None:
    price = GpuPrice(name="H100", dollars_per_hour=4.0, tflops=989, utilisation=0.35, gb_per_second=3350, memory_gib=79)
    fast, slow = trial([0.4, 0.6], steps=5), trial([0.9, 1.0], steps=9)
    failed = replace(trial([0.1], steps=7), nll=None, ece=None, auroc=None, reason="no", losses=np.empty(0))
    trials = [
        replace(each, seconds=seconds, gpus=gpus)
        for each, seconds, gpus in ((fast, 900.0, 2), (slow, 1800.0, 1), (failed, 360.0, 1))
    ]
    assert cost_of(trials, price).line == "3,060 s of trials, 1.1 GPU-hours, $4.40"  # 0.5 + 0.5 + 0.1 hours
    page = render_sweep(trials, {fast.key}, "nll", [trial([0.4, 0.6], steps=5, seed=2)], price)
    assert "Tuning took 3,060 s of trials, 1.1 GPU-hours, $4.40; the time of 1 is not known, at $4.00 an hour" in page
    assert re.sub(r"\s", "", "<td>900</td><td>0.500</td><td>2.00</td>") in re.sub(r"\s", "", page)
    assert "All trials of this combo: 3,060 s of trials, 1.1 GPU-hours, $4.40." in page
    # NLL 0.5, standard error 0.1
    assert "± 0.1000 (95 % interval 0.3040 to 0.6960)" in page
    on_cpus = render_sweep([replace(fast, seconds=900.0, gpus=0)], {fast.key}, "nll")
    assert "Tuning took 900 s of trials; answers," in on_cpus
    assert "GPU-hours" not in on_cpus
    assert "Tuning took" not in render_sweep([fast], {fast.key}, "nll")


def test_lora_and_repeats_are_in_no_map() -> None:
    trials = grid_of({(0, 10): 0.5, (1, 10): 0.6})
    lora, repeat = trial([0.1, 0.1], method="lora", steps=10), trial([0.2, 0.2], seed=7, kl_decay=0, steps=10)
    page = render_sweep([*trials, lora], {trials[0].key}, "nll", [repeat])
    assert "Sweep: 4 trials" in page
    assert [text in page for text in (">0.5000</td>", ">0.6000</td>")] == [True, True]
    assert page.count('class="heat"') == 2
    (line,) = [line for line in page.splitlines() if "With other seeds" in line]
    assert "m/oe kl_decay=0 steps=10: val NLL 0.3500 ± 0.2121 (standard deviation) over 2 seeds" in line  # of 0.5, 0.2


def test_other_seeds_are_those_that_were_not_tried() -> None:
    cell = trial([0.5], seed=3, steps=10).cell
    assert [each.seed for each in seeds_beside(cell, 3, {3, 5, 6})] == [4, 7, 8]
    assert [each.title for each in seeds_beside(cell, 1, ())] == ["steps=10 seed=4"]
    assert seeds_beside(cell, 1, ())[0].settings == cell.settings
