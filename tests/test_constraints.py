"""constraints.txt agrees with itself and with what is installed, or no new clone installs."""

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
import pytest

PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
}
INSTALLED = {canonicalize_name(each.name): each for each in distributions()}


def test_pins_are_those_that_are_installed() -> None:
    differ = {
        name: (pin, INSTALLED[name].version)
        for name, pin in PINS.items()
        if name in INSTALLED and Version(INSTALLED[name].version).public != Version(pin).public
    }
    assert not differ, "pinned, installed"


@pytest.mark.parametrize("name", sorted(PINS.keys() & INSTALLED.keys()))
def test_no_package_refuses_what_another_is_pinned_to(name: str) -> None:
    needed = [Requirement(each) for each in INSTALLED[name].requires or []]
    plain = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    refused = {
        str(each): PINS[canonicalize_name(each.name)]
        for each in plain
        if (pin := PINS.get(canonicalize_name(each.name))) and not each.specifier.contains(pin, prereleases=True)
    }
    assert not refused
