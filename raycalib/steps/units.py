"""Several sets and styles of one model as one piece of work; what fails of them is a hole, while the others go on."""

from collections.abc import Mapping

from raycalib.lm.names import ModelSource
from raycalib.sources import LEARNED_FROM
from raycalib.stages.combo import Combo, Unit
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools.shard_stage import try_shard_stages
from raycalib.stages.pools.spec import ShardStage
from raycalib.steps.run import Run

Outputs = dict[Unit, StageOutput]


def units_of(run: Run, model: ModelSource, outputs: Mapping[Unit, StageOutput]) -> Outputs:
    """The outputs of the styles that the model is used in."""
    styles = {combo.style for combo in run.combos_of(model)}
    return {unit: output for unit, output in outputs.items() if unit.style in styles}


def run_units(run: Run, model: ModelSource, works: Mapping[Unit, tuple[ShardStage, StageOutput]]) -> Outputs:
    """The output of each unit that could be made, through one pool.

    Raises:
        ModelError: the model cannot be loaded.
    """
    return kept(run, model, dict(zip(works, try_shard_stages(list(works.values()), run.out, run.cluster), strict=True)))


def kept(run: Run, model: ModelSource, outcomes: Mapping[Unit, StageOutput | StageError]) -> Outputs:
    """The outputs that there are; of the training set's a failure is one of its whole combo."""
    found = dict[Unit, StageOutput]()
    for unit, outcome in outcomes.items():
        combo = Combo(model=model, style=unit.style)
        if isinstance(outcome, StageOutput):
            found[unit] = run.keep(outcome)
        elif not run.failures.has_lost(combo):
            run.failures.add(combo, outcome, question_set="" if unit.set in LEARNED_FROM else unit.set)
    return found
