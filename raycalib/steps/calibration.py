"""What an evaluation job fits temperatures on: what the run's training left, or rows of its own."""

from collections.abc import Sequence
from dataclasses import asdict

from raycalib.config import PipelineConfig
from raycalib.hashing import stable_hash
from raycalib.lm.names import ModelSource
from raycalib.sources import calibration_set
from raycalib.stages.combo import Unit
from raycalib.stages.output import StageOutput, text_slug
from raycalib.stages.pools.shard_stage import find_finished
from raycalib.stages.questions import find_question_set, write_question_set
from raycalib.steps.answers import answer_stage
from raycalib.steps.features import feature_stage
from raycalib.steps.run import Run
from raycalib.steps.tuned import Learned
from raycalib.steps.units import Outputs

UNDECISIVE = frozenset({"out", "ray", "at_once", "export", "planning", "max_batch_tokens"})
"""Settings that change how an evaluation is done and not what comes of it."""


def evaluation_place(config: PipelineConfig, methods: Sequence[str]) -> str:
    """Where an evaluation job leaves its report, below the run's directory: others have places of their own."""
    decisive = {name: value for name, value in asdict(config).items() if name not in UNDECISIVE}
    key = stable_hash(decisive, list(methods), digits=8)
    return f"evaluated/{text_slug('-'.join([*config.models, *config.styles]))[:60]}-{key}"


def finished_training(run: Run, model: ModelSource) -> Learned:
    """The training sets of a model that an earlier run answered, labelled and read whole; nothing is made."""
    found = Learned(labelled={}, features={})
    for combo in run.combos_of(model):
        unit = Unit(run.training.name, combo.style)
        asked = _drawn(run, combo.style)
        answered = asked and find_finished(answer_stage(run, model, unit), asked, run.out)
        labelled = answered and run.labelling.find(model.slug, str(unit), answered)
        features = answered and find_finished(feature_stage(run, model, unit), answered, run.out)
        if labelled and features:
            found.labelled[unit], found.features[unit] = labelled, features  # whose rows are no news
    return found


def _drawn(run: Run, style: str) -> StageOutput | None:
    config = run.config
    return find_question_set(run.training, style, config.seed, config.rows_per_shard, run.out)


def calibration_questions(run: Run, model: ModelSource, known: Learned) -> Outputs:
    """Questions to fit temperatures on, of the styles of which there is no training set."""
    config, wanted = run.config, calibration_set(run.config.source)
    styles = [combo.style for combo in run.combos_of(model)]
    return {
        Unit(wanted.name, style): run.keep(
            write_question_set(wanted, style, config.seed, config.rows_per_shard, run.out)
        )
        for style in styles
        if Unit(run.training.name, style) not in known.labelled
    }
