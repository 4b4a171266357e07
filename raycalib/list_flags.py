"""Flags that take several values, which may be given again and again, and short names for some of them."""

from collections.abc import Mapping, Sequence

from raycalib.errors import ConfigError

PART_FLAGS = {"--source.k-shot": "--source.k-shot", "--k-shot": "--k-shot", "--query-header": "--query-header"}
"""Flags whose values speak of parts of a run's rows."""

LIST_FLAGS = PART_FLAGS | {
    "--eval": "--evaluation-sets",
    "--evaluation-sets": "--evaluation-sets",
    "--adapter": "--adapters",
    "--adapters": "--adapters",
    "--probe": "--probes",
    "--probes": "--probes",
    "--temperature": "--temperatures",
    "--temperatures": "--temperatures",
    "--skip": "--skip",
    "--model": "--models",
    "--models": "--models",
    "--style": "--styles",
    "--styles": "--styles",
    "--methods": "--methods",
    "--sweep.axes": "--sweep.axes",
    "--sweep.combos": "--sweep.combos",
    "--sweep.trackers": "--sweep.trackers",
}
"""From how a flag is given to its whole name."""

BY_COMMAS = {"--styles", "--methods", "--sweep.trackers"}
"""Flags whose values may also be joined by commas."""


def gather_lists(arguments: Sequence[str], flags: Mapping[str, str]) -> list[str]:
    """The arguments with each list's values behind one flag, at the end: a flag given twice adds to its first values.

    >>> gather_lists(["--eval", "mmlu", "--seed", "1", "--eval=arc", "--methods", "probe,lora"], LIST_FLAGS)
    ['--seed', '1', '--evaluation-sets', 'mmlu', 'arc', '--methods', 'probe', 'lora']

    Raises:
        ConfigError: a flag stands without a value.
    """
    rest, values, name = list[str](), dict[str, list[str]](), ""
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if argument.startswith("--"):
            name = flags.get(flag.replace("_", "-"), "")
            if not name:
                rest.append(argument)
                continue
            given = [value] if equals else []
        elif name:
            given = [argument]
        else:
            rest.append(argument)
            continue
        of_list = values.setdefault(name, [])
        of_list += [part for each in given for part in (each.split(",") if name in BY_COMMAS else [each])]
    for name, of_list in values.items():
        if not of_list:
            raise ConfigError(
                f"{name.removeprefix('--').replace('-', '_')}: a value is missing; --help says which are allowed"
            )
    return rest + [text for name, of_list in values.items() for text in (name, *of_list)]
