"""Which method stands for all where there is room for one: what was tuned and calibrated before what was not."""

from collections.abc import Iterable

from raycalib.evaluation.methods import BASELINES, PROBE, temperature_of, untempered
from raycalib.reports.figures import Row, figure
from raycalib.reports.wording import (
    CALIBRATED_PROBE,
    CALIBRATED_QUERY,
    METHOD_NAMES,
    TUNED_QUERY,
    in_order,
)

PREFERRED = (CALIBRATED_QUERY, TUNED_QUERY)


def leading_method(rows: Iterable[Row]) -> str:
    """Returns the method to show first: LoRA + Prompt, a given one, the probe, else the last; with its temperature.

    Only methods that have an ECE in one of the rows count; without any it is LoRA + Prompt + temperature.

    >>> leading_method([{"method": "adapter mine", "ece": {"value": 0.1}}, {"method": "probe", "ece": {"value": 0.1}}])
    'adapter mine'
    """
    present = in_order(str(row.get("method")) for row in rows if figure(row, "ece") is not None)
    given = [method for method in present if untempered(method) not in METHOD_NAMES]
    others = [method for method in present if untempered(method) not in BASELINES]
    by_preference = [
        *PREFERRED,
        *sorted(given, key=lambda method: not temperature_of(method)),
        *(CALIBRATED_PROBE, PROBE),
        *sorted(others, key=lambda method: not temperature_of(method)),
        *reversed(present),
    ]
    return next((method for method in by_preference if method in present), CALIBRATED_QUERY)
