from dataclasses import replace
import os
import subprocess
import sys

import pytest

from raycalib.sources.hub.catalogue import HUB_SOURCES, hub_source
from raycalib.sources.hub.columns import in_columns, number
from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.hub.declared_as import declared

SIQA = hub_source("siqa")


@pytest.mark.parametrize(
    "changed",
    [
        replace(SIQA, answer=number("label", first=0)),
        replace(SIQA, options=in_columns("answerA", "answerB")),
        replace(SIQA, may_be_empty=("context",)),
        replace(SIQA, shuffles_options=True),
        replace(SIQA, default_shots=3),
        replace(SIQA, derived={"more": lambda row: "x"}),
    ],
)
def test_a_change_of_the_declaration_changes_its_text(changed: HubSource) -> None:
    assert declared(changed) != declared(SIQA)


def test_all_sources_differ_and_none_shows_an_address() -> None:
    texts = {name: declared(source) for name, source in HUB_SOURCES.items()}
    assert len(set(texts.values())) == len(texts)
    assert not [name for name, text in texts.items() if " at 0x" in text]


def test_the_text_is_the_same_in_every_process() -> None:
    script = (
        "from raycalib.sources.hub.catalogue import HUB_SOURCES\n"
        "from raycalib.sources.hub.declared_as import declared\n"
        "print([declared(source) for source in HUB_SOURCES.values()])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert outputs == {f"{[declared(source) for source in HUB_SOURCES.values()]}\n"}
