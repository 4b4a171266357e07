"""What exists already and comes in: answers and labelled rows in place of questions, adapters, probes, temperatures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raycalib.config import PipelineConfig
from raycalib.errors import ModelError, StorageError
from raycalib.evaluation.methods import PROBE
from raycalib.lm.names import ModelSource
from raycalib.sources.given.given_source import open_given
from raycalib.sources.given.places import parse_place
from raycalib.stages.combo import Combo, GivenProbe, Method, Unit
from raycalib.stages.given.copies import keep_method
from raycalib.stages.given.methods import GivenMethod, given_methods, method_identity
from raycalib.stages.given.model_fit import check_methods_fit
from raycalib.stages.given.sets import write_given
from raycalib.stages.given.temperatures import read_temperature
from raycalib.stages.lines.progress import say
from raycalib.steps.run import Run
from raycalib.steps.scored import Scored, Scorer, score
from raycalib.steps.units import Outputs
from raycalib.tuning.temperature import Temperature


def given_rows(run: Run, model: ModelSource) -> Outputs:
    """Answers, or labelled ones, that the configuration names in place of the dataset's questions; empty for none.

    Raises:
        DataError: they cannot be read.
    """
    config = run.config
    text = config.labelled or config.answers
    if text is None:
        return {}
    styles = [combo.style for combo in run.combos_of(model)]
    source = open_given(
        parse_place(text),
        kind="labelled" if config.labelled else "answers",
        model=model.name,
        style=styles[0] if len(styles) == 1 else None,
        data_root=config.source.data_root,
        seed=config.seed,
        max_bad_rows=config.source.max_bad_rows,
    )
    outputs = write_given(source, styles=styles, model=model.slug, out=run.out, rows_per_shard=config.rows_per_shard)
    found = {Unit(*unit): run.keep(output) for unit, output in outputs.items()}
    for combo in run.combos_of(model):
        if all(unit.style != combo.style for unit in found):
            say(f"  {text} has no {combo.style} rows, and {combo} is left out")
            run.left_out.add(combo)
    return found


def find_given(run: Run, model: ModelSource) -> dict[Combo, list[GivenMethod]]:
    """The adapters, probes and temperatures that the configuration names, for each of a model's combos.

    Raises:
        ConfigError: a name or a temperature is not allowed.
    """
    found = dict[Combo, list[GivenMethod]]()
    for combo in run.combos_of(model):
        methods = _given(run.config, combo, run.methods)
        found[combo] = [_kept(run, combo, method) for method in methods]
    return found


def _kept(run: Run, combo: Combo, method: GivenMethod) -> GivenMethod:
    """The method with its files in the run's directory, which all workers see; as it was where it is a hole."""
    say(f"  {combo}: {method.name} is {method.origin}")
    if method.note:
        say(f"  {method.note}")
    try:
        check_methods_fit([method], combo.model)
        return keep_method(method, run.out)
    except (ModelError, StorageError) as error:
        run.failures.add(combo, error, method=method.name)
        return method


def check_given(config: PipelineConfig, combos: Sequence[Combo], taken: Sequence[str]) -> None:
    """Looks at what is given before anything is written.

    Raises:
        ConfigError: a name or a temperature is not allowed.
        ModelError: what is given fits none of the combos.
    """
    own_temperatures(config, taken)
    misfits = list[ModelError]()
    for combo in combos if config.adapters or config.probes or config.temperatures else ():
        try:
            check_methods_fit(_given(config, combo, taken), combo.model)
        except ModelError as error:
            misfits.append(error)
    if misfits and len(misfits) == len(combos):
        raise misfits[0]


def _given(config: PipelineConfig, combo: Combo, taken: Sequence[str]) -> list[GivenMethod]:
    return given_methods(
        config.adapters,
        config.probes,
        [text for text in config.temperatures if text.partition("=")[0] not in taken],
        model=combo.model.name,
        style=combo.style,
        data_root=config.source.data_root,
        taken=taken,
    )


def score_given(
    run: Run, model: ModelSource, labelled: Outputs, given: Mapping[Combo, Sequence[GivenMethod]]
) -> Scored:
    """What each given adapter says of the answers, all from one loading of the weights.

    One that cannot be loaded into the model is a hole, and the others are loaded without it.
    """
    adapters = [
        (combo, method)
        for combo, methods in given.items()
        for method in methods
        if method.adapter is not None and method.name not in run.failures.of_methods(combo, "")
    ]
    if not adapters:
        return {}
    try:
        return _score(run, model, labelled, adapters)
    except ModelError as error:
        if len(adapters) == 1:
            run.failures.add(adapters[0][0], error, method=adapters[0][1].name)
            return {}
    found = Scored()
    for combo, method in adapters:
        found |= score_given(run, model, labelled, {combo: [method]})
    return found


def _score(run: Run, model: ModelSource, labelled: Outputs, adapters: Sequence[tuple[Combo, GivenMethod]]) -> Scored:
    tasks = {f"{combo.style} {method.name}": method for combo, method in adapters}
    config = replace(
        run.worker_config(model, run.query_tokens),
        adapters=tuple((task, method.adapter) for task, method in tasks.items() if method.adapter is not None),
        heads=tuple((task, method.head, method.head_name) for task, method in tasks.items() if method.head is not None),
    )
    scorers = [
        Scorer(method.name, combo.style, method_identity(method), f"{combo.style} {method.name}")
        for combo, method in adapters
    ]
    return score(run, model, labelled, scorers, config)


def all_methods(
    run: Run, combo: Combo, given: Sequence[GivenMethod], question_set: str, chosen_probe: GivenProbe | None = None
) -> list[Method]:
    """Methods of the run and those that are given; what failed, on the set or on all, is a hole.

    A probe that a sweep has chosen stands in the place of the run's own.
    """
    holes = run.failures.of_methods(combo, question_set)
    own = own_temperatures(run.config, run.methods)
    return [
        Method(
            name=name,
            hole=holes.get(name, ""),
            temperature=own.get(name),
            probe=chosen_probe if name == PROBE else None,
        )
        for name in run.methods
    ] + [
        Method(
            name=method.name,
            probe=_probe(method),
            temperature=method.temperature,
            hole=holes.get(method.name, ""),
        )
        for method in given
    ]


def own_temperatures(config: PipelineConfig, methods: Sequence[str]) -> dict[str, Temperature]:
    """Temperatures that are given for methods of the run, by name.

    Raises:
        ConfigError: a number is out of its range.
        ModelError: a place holds none.
    """
    named = [text.partition("=") for text in config.temperatures]
    return {name: read_temperature(place) for name, _, place in named if name in methods}


def _probe(method: GivenMethod) -> GivenProbe | None:
    if method.kind != "probe" or method.head is None:
        return None
    return GivenProbe(place=method.head, file=method.head_name, fingerprint=method.fingerprint)
