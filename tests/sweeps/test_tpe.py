"""Optuna's search on NLLs that are computed by arithmetic."""

from collections.abc import Callable, Sequence
from dataclasses import replace
import sys

import pytest

from raycalib.errors import ConfigError
from raycalib.sweeps.axes import parse_axes
from raycalib.sweeps.cells import Cell, grid
from raycalib.sweeps.config import SweepConfig, cells_of
from raycalib.sweeps.search import AllAtOnce, search_of
from raycalib.sweeps.settings import SweepSettings
from raycalib.sweeps.tpe import PER_ROUND, TpeSearch, most_in_a_round, shared_out
from raycalib.sweeps.trials import Trial
from raycalib.tuning.settings import TuningSettings

BASE = TuningSettings(steps=100)
AXES = ("kl_decay=0,0.1,0.2,0.5,1,2,4,8", "steps=10,20,40,80,160,320", "lr=1e-5,1e-4,1e-3,1e-2")
Rounds = list[list[str]]


def cells(*axes: str, combos: Sequence[str] = ("m/oe",)) -> list[Cell]:
    return grid(combos, parse_axes(axes or AXES, BASE), BASE, 137)


def surface(cell: Cell) -> float:
    """Least, 0.3, at kl_decay 0.5, steps 80, lr 1e-3; each axis adds by how far its value's place is from there."""
    far = {"kl_decay": [3, 2, 1, 0, 1, 2, 3, 4], "steps": [3, 2, 1, 0, 1, 2], "lr": [2, 1, 0, 1]}
    listed = {axis.name: axis.values for axis in parse_axes(AXES, BASE)}
    return 0.3 + sum(0.05 * far[name][listed[name].index(value)] for name, value in cell.values)


def trial(cell: Cell, nll: float | None) -> Trial:
    return Trial(cell=cell, key=cell.title, place="", nll=nll, reason="" if nll is not None else "failed")


def rounds_of(search: TpeSearch, nll: Callable[[Cell], float | None] = surface) -> list[list[Cell]]:
    rounds = []
    while asked := search.ask():
        rounds.append(asked)
        search.tell([trial(cell, nll(cell)) for cell in asked])
    return rounds


def flat(rounds: list[list[Cell]]) -> list[Cell]:
    return [cell for asked in rounds for cell in asked]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_the_best_cell_is_found_with_a_fifth_of_the_grid(seed: int) -> None:
    whole = cells()
    assert len(whole) == 192
    tried = flat(rounds_of(TpeSearch(whole, 40, seed)))
    assert len(tried) == len(set(tried)) == 40
    assert min(map(surface, tried)) == 0.3, "a random draw of 40 has it once in five times"
    assert sum(map(surface, tried)) / 40 < sum(map(surface, whole)) / 192 - 0.03


def test_a_search_that_begins_again_asks_for_the_same_cells() -> None:
    first = rounds_of(TpeSearch(cells(), 24, 7))
    again = TpeSearch(cells(), 24, 7)
    for asked in first[:3]:
        assert again.ask() == asked
        again.tell([trial(cell, surface(cell)) for cell in reversed(asked)])
    assert rounds_of(again) == first[3:]
    assert [len(asked) for asked in first] == [PER_ROUND] * 6
    assert rounds_of(TpeSearch(cells(), 24, 8)) != first


def test_combos_draw_random_numbers_of_their_own() -> None:
    asked = TpeSearch(cells(combos=("a/oe", "b/oe")), 8, 7).ask()
    drawn = [[cell.values for cell in asked if cell.combo == combo] for combo in ("a/oe", "b/oe")]
    assert [len(values) for values in drawn] == [PER_ROUND, PER_ROUND]
    assert drawn[0] != drawn[1]


def test_what_it_asks_for_hangs_on_what_it_was_told() -> None:
    first = flat(rounds_of(TpeSearch(cells(), 24, 7)))
    other = flat(rounds_of(TpeSearch(cells(), 24, 7), lambda cell: -surface(cell)))
    assert first[:PER_ROUND] == other[:PER_ROUND]
    assert first[PER_ROUND:] != other[PER_ROUND:]


@pytest.mark.parametrize(("few", "more"), [(6, 7), (6, 24), (8, 9)])
def test_more_samples_go_on_with_those_of_fewer(few: int, more: int) -> None:
    combos = ("a/oe", "b/oe")
    tried = [flat(rounds_of(TpeSearch(cells(combos=combos), n, 7))) for n in (few, more)]
    for combo in combos:
        first, longer = ([cell for cell in of if cell.combo == combo] for of in tried)
        assert longer[: len(first)] == first
    assert [len(of) for of in tried] == [few, more]


def test_each_combo_and_method_has_a_study_of_its_own_and_its_share() -> None:
    whole = cells("method=lora_prompt,lora,probe", "kl_decay=0,1,2", "steps=10,20,40", combos=("a/oe", "b/oe"))
    search = TpeSearch(whole, 22, 7)
    asked = search.ask()
    firsts = [(cell.combo, cell.settings.method) for cell in asked[:6]]
    assert len(set(firsts)) == 6, "one of each is begun before the others"
    search.tell([trial(cell, 0.5) for cell in asked])
    tried = [*asked, *flat(rounds_of(search, lambda cell: 0.5))]
    counts = {
        name: sum(cell.settings.method == name and cell.combo == "a/oe" for cell in tried)
        for name in ("lora_prompt", "lora", "probe")
    }
    assert counts == {"lora_prompt": 7, "lora": 3, "probe": 1}, "lora has three cells, a probe one"
    assert len(tried) == len(set(tried)) == 22


def test_the_search_ends_with_the_grid() -> None:
    whole = cells("kl_kind=jsd,forward,reverse", "kl_decay=0,1,2")
    assert len(whole) == 7
    assert set(flat(rounds_of(TpeSearch(whole, 500, 7), lambda cell: cell.settings.kl_decay))) == set(whole)


def test_failed_trials_are_told_as_failed_and_not_asked_for_again() -> None:
    def half_fail(cell: Cell) -> float | None:
        return None if cell.settings.lr > 5e-4 else surface(cell)

    search = TpeSearch(cells(), 32, 7)
    tried = flat(rounds_of(search, half_fail))
    assert len(tried) == len(set(tried)) == 32
    told = [(each.params["lr"] > 5e-4, each.state.name) for each in search._studies[0]._study.trials]
    assert set(told) == {(True, "FAIL"), (False, "COMPLETE")}
    assert len(flat(rounds_of(TpeSearch(cells(), 12, 7), lambda cell: None))) == 12


@pytest.mark.parametrize("samples", [1, 5, 7, 22, 500])
def test_the_first_round_is_as_large_as_any(samples: int) -> None:
    whole = cells("method=lora_prompt,lora,probe", "kl_decay=0,1,2", "steps=10,20,40", combos=("a/oe", "b/oe"))
    rounds = rounds_of(TpeSearch(whole, samples, 7), lambda cell: 0.5)
    assert most_in_a_round(whole, samples) == len(rounds[0]) == max(len(asked) for asked in rounds)
    assert most_in_a_round(whole, 500) == 2 * (4 + 3 + 1), "lora has three cells, a probe one"


def test_shares_add_up() -> None:
    assert shared_out(5, [4, 4, 4]) == [2, 2, 1]
    assert shared_out(6, [1, 4, 4]) == [1, 3, 2]
    assert shared_out(0, [4]) == [0]


def test_a_grid_is_asked_for_at_once() -> None:
    search = search_of(cells(), SweepSettings(axes=AXES), 7)
    assert isinstance(search, AllAtOnce)
    assert search.ask() == cells()
    assert search.ask() == []
    assert isinstance(search_of(cells(), SweepSettings(axes=AXES, search="optuna", samples=3), 7), TpeSearch)


def test_samples_are_bounded_and_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SweepConfig(styles=("oe",), sweep=SweepSettings(axes=AXES, search="optuna", samples=12, max_trials=12))
    assert len(cells_of(config)) == 192
    with pytest.raises(ConfigError, match=r"axis: these are 12 trials of 1 combos, more than --max-trials \(11\)"):
        cells_of(replace(config, sweep=replace(config.sweep, max_trials=11)))
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ConfigError, match=r"search: optuna needs the package Optuna, .* pip install 'raycalib\[optuna\]'"
    ):
        cells_of(config)
