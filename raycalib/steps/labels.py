"""The third step: which answers are right, by comparing strings or by a judge."""

from raycalib.lm.names import ModelSource
from raycalib.stages.lines.progress import say
from raycalib.steps.run import Run
from raycalib.steps.units import Outputs, kept, units_of


def labels(run: Run, model: ModelSource, answered: Outputs) -> Outputs:
    """The answers of each unit with a label: 1 right, 0 wrong, None unscored with its reason.

    Those that are given with labels stay what they are.
    """
    answered = units_of(run, model, answered)
    given = {unit: output for unit, output in answered.items() if output.manifest.stage == "labelled"}
    asked = {unit: output for unit, output in answered.items() if unit not in given}
    return given | kept(run, model, run.labelling.try_all(model.slug, asked))


def say_estimate(run: Run, answered: Outputs) -> None:
    """Says what judging the answers would take; asks nothing."""
    say(f"estimate: {run.labelling.estimate(list(answered.values())).line(run.config.judge.model)}")
