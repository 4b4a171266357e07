"""Temperatures that are given: a number, or a directory that holds a saved one."""

import math

from raycalib.errors import ConfigError
from raycalib.stages.given.places import PICKLES, nothing_there, open_place, pickle_refused
from raycalib.tuning.temperature import LOG_TEMPERATURE_LIMIT, Temperature
from raycalib.tuning.temperature_files import TEMPERATURE_RECORD, TEMPERATURE_TENSORS, load_temperature

CONVERT = "give its number: torch.load(FILE, weights_only=True)['log_temperature'].exp()"


def read_temperature(text: str) -> Temperature:
    """The temperature that a text is or names.

    Args:
        text: a number above 0, a directory with ``temperature.safetensors``, or that file. What a number was fitted on
            is not known: it has n 0 and NLLs of NaN.

    Raises:
        ConfigError: the number is out of its range.
        ModelError: the place holds none.
    """
    try:
        number = float(text)
    except ValueError:
        return _saved(text)
    if not 0 < number < math.inf or abs(math.log(number)) > LOG_TEMPERATURE_LIMIT:
        least, most = math.exp(-LOG_TEMPERATURE_LIMIT), math.exp(LOG_TEMPERATURE_LIMIT)
        raise ConfigError(
            f"temperature: {text} is not allowed; a number from {least:.4f} to {most:.0f}, or a directory with "
            f"{TEMPERATURE_TENSORS}"
        )
    return Temperature(log_temperature=math.log(number), n=0, nll_before=math.nan, nll_after=math.nan)


def _saved(text: str) -> Temperature:
    given = open_place("temperature", text, (TEMPERATURE_TENSORS, TEMPERATURE_RECORD))
    names = given.place.names()
    pickles = [given.file or name for name in names if (given.file or name).endswith(PICKLES)]
    if pickles and TEMPERATURE_TENSORS not in names:
        raise pickle_refused(given, pickles[0], CONVERT)
    if not {TEMPERATURE_TENSORS, TEMPERATURE_RECORD} <= set(names) or given.file not in ("", TEMPERATURE_TENSORS):
        raise nothing_there(given, given.place, f"{TEMPERATURE_TENSORS} and {TEMPERATURE_RECORD}")
    return load_temperature(given.place)
