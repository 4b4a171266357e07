"""The first step: questions of every set in every style."""

from collections import Counter

from raycalib.errors import DataError, RaycalibError
from raycalib.judging import STRING_GRADERS
from raycalib.sources import LEARNED_FROM, QuestionSet, asked_styles
from raycalib.sources.question_sets import OWN_SETS
from raycalib.stages.combo import Unit
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.stages.questions import write_question_set
from raycalib.stages.split_counts import few_lines, split_line
from raycalib.stages.unmet_targets import check_targets, counter
from raycalib.steps.run import Run
from raycalib.steps.units import Outputs


def questions(run: Run, sets: list[QuestionSet] | None = None) -> Outputs:
    """Questions of the run's sets, or of some, by set and style; a set without questions in a style is left out.

    Raises:
        RaycalibError: a source cannot be read or used, or there is nothing to evaluate on.
    """
    own = [] if run.config.comes_in else [run.training]
    wanted = [each for each in ([*own, *run.evaluated] if sets is None else sets) if own or each.from_elsewhere]
    if not wanted:
        return {}
    drawn = {unit: output for each in wanted for unit, output in _drawn(run, each).items()}
    found = {unit: output for unit, output in drawn.items() if output.shards}
    for each in wanted:
        is_drawn, is_there = (any(unit.set == each.name for unit in some) for some in (drawn, found))
        if each.from_elsewhere and is_drawn and not is_there:
            raise DataError(f"eval: {each.name} has no questions; leave it out, or name another")
    if own and sets is None and all(unit.set in LEARNED_FROM for unit in found):
        raise DataError(
            f"source: {run.config.source.name} has no test rows to evaluate on; name a set by --eval "
            "mmlu or --eval file:PATH"
        )
    _say(run, drawn, found)
    return found


def _drawn(run: Run, question_set: QuestionSet) -> Outputs:
    """The set's questions; where those of a set from elsewhere cannot be had, the others go on."""
    try:
        return _of_set(run, question_set)
    except RaycalibError as error:
        if not question_set.from_elsewhere or len(run.evaluated) == 1:
            raise
        for combo in run.alive:
            run.failures.add(combo, error, question_set=question_set.name)
        return {}


def _of_set(run: Run, question_set: QuestionSet) -> dict[Unit, StageOutput]:
    config = run.config
    styles = [style for style in config.styles if any(combo.style == style for combo in run.combos)]
    asked = asked_styles(question_set, styles, config.seed)
    for style in styles:
        if style not in asked:
            say(f"  {question_set.name} has no {style} prompts, and is evaluated in {', '.join(asked)} alone")
    return {
        Unit(question_set.name, style): run.keep(
            write_question_set(question_set, style, config.seed, config.rows_per_shard, run.out)
        )
        for style in asked
    }


def _say(run: Run, drawn: Outputs, found: Outputs) -> None:
    config, counts = run.config, Counter[str]()
    new = [output for output in drawn.values() if not output.was_done]
    for note in dict.fromkeys(note for output in new for note in output.manifest.details["notes"]):
        say(note)
    for unit, output in drawn.items():
        counts.update({name: n for name, n in output.manifest.counts.items() if "/" in name})
        if unit not in found and unit.set not in OWN_SETS:
            say(f"  {unit.set} has no {unit.style} questions and is left out in this style")
    styles = list(dict.fromkeys(unit.style for unit in found))
    n_shards = sum(len(output.shards) for output in found.values())
    say(f"questions: {counts.total():,} rows in {n_shards} shards: {split_line(counts, styles)}")
    for line in few_lines(counts, styles):
        say(f"  {line}")
    if "oe" in styles and config.grader in STRING_GRADERS:
        tokenizers = [counter(model) for model in run.models] if config.engine.name != "openai" else []
        check_targets([found[unit] for unit in found if unit.style == "oe"], config.max_new_tokens, tokenizers)
