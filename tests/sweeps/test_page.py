"""The sweep's page, and what each axis explains."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from raycalib.sweeps.axis_shares import axis_shares
from raycalib.sweeps.page import render_sweep
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
