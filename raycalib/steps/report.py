"""The last steps: figures of every prediction, and the page that shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from raycalib.reports import print_summary
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.figures import cells_of, run_figures
from raycalib.stages.predictions.summarize import summarize
from raycalib.steps.evaluation import Evaluation
from raycalib.steps.records import Records, record_of, shown_of, write_records
from raycalib.steps.run import Run
from raycalib.storage import Location


def figures(run: Run, evaluated: Mapping[str, Sequence[Evaluation]]) -> list[StageOutput]:
    """Figures of each evaluation, with a seeded bootstrap interval each."""
    outputs = run_figures([each.output for each in _all(evaluated)], run.config.n_resamples, run.out, run.cluster)
    return [run.keep(output) for output in outputs]


def report(
    run: Run,
    evaluated: Mapping[str, Sequence[Evaluation]],
    figured: Sequence[StageOutput],
    place: Location | None = None,
) -> list[dict[str, Any]]:
    """Writes the page and prints the tables; returns the summary's rows.

    Args:
        run: the run.
        evaluated: what is shown, by model.
        figured: their figures.
        place: of the page; ``report/`` unless given.

    Raises:
        IncompleteError: there are holes; the page is there all the same.
    """
    place = place or run.out / "report"
    evaluations = [record_of(each, output) for each, output in zip(_all(evaluated), figured, strict=True)]
    records = Records(evaluations, [hole for hole in run.failures.records() if not hole["method"]])
    summary, was_done = summarize(
        [cell for output in figured for cell in cells_of(output)],
        keys=[output.key for output in figured],
        shown=shown_of(records),
        config=asdict(run.config),
        place=place,
    )
    write_records(place, records)
    print_summary(summary, holes=records.holes)
    if was_done and all(output.was_done for output in run.made):
        say(f"Nothing to do: all {len(run.made) + 1} steps were finished ({run.seconds:.0f} s).")
    else:
        say(f"Finished in {run.seconds:.0f} s.")
    say(f"Report: {place.uri}/index.html")
    run.end()
    return summary


def _all(evaluated: Mapping[str, Sequence[Evaluation]]) -> list[Evaluation]:
    return [each for of_model in evaluated.values() for each in of_model]
