"""No value of any column may raise: every row becomes an item that renders, or a refusal."""

import random
from typing import Any

import pytest

from raycalib.sources.hub import HUB_SOURCES, Item, Refusal, convert_row, render

LEAVES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    10**30,
    0.5,
    float("nan"),
    "",
    " ",
    "A",
    "b",
    "1",
    "-1",
    "٣",
    "{}{x}",
    "a ) 1 , b ) 2",
    b"bytes",
    object(),
]
FAMILIES = sorted({name.partition(":")[0]: name for name in HUB_SOURCES}.values())


class AnyColumn(dict[str, Any]):
    """Has every column, with a value drawn at random; None, numbers, texts, lists and more of its own kind."""

    def __init__(self, draw: random.Random, depth: int = 0) -> None:
        super().__init__()
        self.draw, self.depth = draw, depth

    def __contains__(self, name: object) -> bool:
        return self.draw.random() < 0.95

    def __getitem__(self, name: str) -> Any:
        kind = self.draw.random()
        if kind < 0.4 and self.depth < 2:
            return AnyColumn(self.draw, self.depth + 1)
        if kind < 0.7:
            return self.draw.choices(LEAVES, k=self.draw.randrange(5))
        return self.draw.choice(LEAVES)


@pytest.mark.parametrize("paper_exact", [True, False], ids=["paper_exact", "raycalib"])
@pytest.mark.parametrize("name", FAMILIES)
def test_whatever_a_row_holds_nothing_raises(name: str, paper_exact: bool) -> None:
    source = HUB_SOURCES[name]
    draw = random.Random(f"{name}{paper_exact}")
    for number in range(300):
        found = convert_row(source, AnyColumn(draw), number, seed=1, paper_exact=paper_exact)
        if isinstance(found, Item):
            assert all(render(source, found, style).context for style in source.styles)
        else:
            assert isinstance(found, Refusal)
            assert found.reason
            assert "\n" not in found.reason
