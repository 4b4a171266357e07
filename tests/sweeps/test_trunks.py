"""Steps that cells compute."""

from raycalib.sweeps.axes import parse_axes
from raycalib.sweeps.cells import Cell, grid
from raycalib.sweeps.trunks import computed_steps, n_one_after_another
from raycalib.tuning.settings import TuningSettings


def cells(schedule: str, *axes: str) -> list[Cell]:
    base = TuningSettings(schedule=schedule, decay_share=0.2)  # type: ignore[arg-type]
    return grid(["a/oe", "b/oe"], parse_axes(axes, base), base, 137)


def test_each_length_begins_where_the_one_before_it_left_the_trunk() -> None:
    found = cells("wsd", "steps=50,10,100")
    by_length = dict(zip([(cell.combo, cell.settings.steps) for cell in found], computed_steps(found), strict=True))
    of_a_combo = {10: 10, 50: 50 - 8, 100: 100 - 40}
    assert by_length == {(combo, steps): n for combo in ("a/oe", "b/oe") for steps, n in of_a_combo.items()}


def test_cells_that_differ_in_more_share_nothing() -> None:
    for axis in ("lr=1e-4,2e-4", "seed=1,2", "kl_decay=0,1", "train_rows=200,all", "method=lora,lora_prompt"):
        found = cells("wsd", axis)
        assert computed_steps(found) == [5000] * 4


def test_cells_of_a_trunk_follow_one_another() -> None:
    assert n_one_after_another(cells("wsd", "steps=50,10,100", "kl_decay=0,1")) == 2 * 2
    assert n_one_after_another(cells("cosine", "steps=50,10,100", "kl_decay=0,1")) == 2 * 2 * 3


def test_cosines_share_nothing() -> None:
    found = cells("cosine", "steps=50,10,100")
    assert computed_steps(found) == [cell.settings.steps for cell in found]
