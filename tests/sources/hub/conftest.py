"""What the tests of all sources do with their rows."""

from collections.abc import Callable
from typing import Any

import pytest

from raycalib.sources.hub import hub_source, read_split, render_split

Check = Callable[..., None]
SEED = 11


@pytest.fixture
def check_source() -> Check:
    """Renders all rows of a source in both styles and compares the first text and all targets."""

    def check(
        name: str,
        rows: list[dict[str, Any]],
        *,
        choice: str | None = None,
        choice_targets: str = "",
        oe: str,
        oe_targets: list[str],
    ) -> None:
        source = hub_source(name)
        read = read_split(source, rows, seed=SEED)
        assert not read.refusals
        assert len(read.items) == len(rows)
        examples = list(render_split(source, read.items, "oe", seed=SEED))
        plain = examples[0].context + examples[0].target_prompt
        assert plain == oe
        assert [example.target for example in examples] == oe_targets
        if choice is None:
            assert source.styles == ("oe",)
        else:
            examples = list(render_split(source, read.items, "choice", seed=SEED))
            assert examples[0].context + examples[0].target_prompt == choice
            assert "".join(example.target for example in examples) == choice_targets

    return check
