"""The second step: a model's answers."""

from raycalib.lm.logits import LETTERS_VERSION
from raycalib.lm.names import ModelSource
from raycalib.records import ANSWER
from raycalib.stages.combo import Unit
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.workers.answers import AnswerWorker
from raycalib.steps.given import given_rows
from raycalib.steps.run import Run
from raycalib.steps.units import Outputs, run_units, units_of

VERSION = 1
"""Goes up where other answers, or other numbers of them, come out of the same questions."""


def answers(run: Run, model: ModelSource, asked: Outputs) -> Outputs:
    """A model's answers to the questions of each unit, from one loading of its weights, and those that are given.

    Raises:
        ModelError: the model cannot be loaded.
    """
    works = {unit: (answer_stage(run, model, unit), output) for unit, output in units_of(run, model, asked).items()}
    return given_rows(run, model) | run_units(run, model, works)


def answer_stage(run: Run, model: ModelSource, unit: Unit) -> ShardStage:
    """What makes a unit's answers."""
    config, engine = run.config, run.config.engine
    identity = (
        run.identity(model)
        | {"version": VERSION, "max_tokens": config.max_tokens, "max_new_tokens": config.max_new_tokens}
        | ({} if run.dtype == "float32" else {"letters": LETTERS_VERSION})
        | engine.identity()
    )
    return ShardStage(
        name="answers",
        variant=model.slug,
        part=str(unit),
        worker=AnswerWorker,
        config=run.worker_config(model, config.max_tokens),
        identity=identity,
        schema=ANSWER,
        needs_model=True,
        cut_column="n_cut",
        margin_column="min_margin",
        gpus=0.0 if engine.name == "openai" else None,
        waits_for_server=engine.name == "openai",
        bounds=run.failed_alone,
    )
