"""What a report was made from, kept beside it, so that reports can be made again and joined without a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raycalib.evaluation.methods import WITH_PLATT, WITH_TEMPERATURE
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.steps.evaluation import Evaluation
from raycalib.storage import Location

RECORDS_NAME = "evaluations.json"


@dataclass(frozen=True)
class Records:
    """What one or more reports were made from.

    Attributes:
        evaluations: of one combo on one set each; see ``record_of``.
        holes: what failed: model, style, set, method, reason.
    """

    evaluations: Sequence[Mapping[str, Any]]
    holes: Sequence[Mapping[str, Any]]


def record_of(evaluation: Evaluation, figured: StageOutput) -> dict[str, Any]:
    """A combo's evaluation on one set as plain values; directories are named from the run's."""
    manifest, fitted = evaluation.output.manifest, evaluation.fitted.output.manifest
    told = {name: reason for name, reason in evaluation.failed.items() if name in manifest.details["holes"]}
    told |= {name + end: reason for name, reason in told.items() for end in (WITH_TEMPERATURE, WITH_PLATT)}
    return {
        "model": evaluation.combo.model.name,
        "style": evaluation.combo.style,
        "set": evaluation.set,
        "predictions": f"predictions/{evaluation.output.place.name}",
        "figures": f"figures/{figured.place.name}",
        "methods": manifest.details["methods"],
        "holes": {name: told.get(name, reason) for name, reason in manifest.details["holes"].items()},
        "rows": evaluation.rows,
        "finished": manifest.finished,
        "temperatures": fitted.details["temperatures"] + fitted.details.get("platts", []),
        "trainings": list(evaluation.trainings),
        "notes": list(evaluation.notes),
    }


def write_records(place: Location, records: Records) -> None:
    """Writes ``evaluations.json`` beside a report."""
    created = datetime.now(UTC).isoformat()
    place.write_json(
        RECORDS_NAME,
        {"created": created, "evaluations": list(records.evaluations), "holes": list(records.holes)},
    )


def read_records(places: Iterable[Location]) -> Records:
    """Of several reports.

    Of two evaluations of one model, style, set and method the later one counts; of evaluations of one set on other
    rows (another grader or seed) those on the rows of the latest alone. What failed is no hole once a later report has
    it.
    """
    found = [place.read_json(RECORDS_NAME) for place in places]
    all_records = [record for one in found for record in one["evaluations"]]
    evaluations, taken, rows = list[Mapping[str, Any]](), set[tuple[str, ...]](), dict[tuple[str, ...], str]()
    for record in sorted(all_records, key=lambda record: str(record["finished"]), reverse=True):
        cell = (record["model"], record["style"], record["set"])
        if rows.setdefault(cell, record["rows"]) != record["rows"]:
            say(f"  {' '.join(cell)}: an older evaluation, on other rows, is left out ({record['predictions']})")
            continue
        methods = [method for method in record["methods"] if (*cell, method) not in taken]
        taken.update((*cell, method) for method in methods)
        if methods:
            evaluations.append({**record, "methods": methods})
    holes = [hole for one in found for hole in one["holes"] if not _is_filled(hole, one["created"], found)]
    return Records(evaluations[::-1], holes)


def _is_filled(hole: Mapping[str, Any], created: str, found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a later report has what failed."""
    return any(
        (record["model"], record["style"]) == (hole["model"], hole["style"]) and hole["set"] in ("", record["set"])
        for one in found
        if str(one["created"]) > created
        for record in one["evaluations"]
    )


def shown_of(records: Records, run: str = "") -> dict[str, Any]:
    """What a report shows beside its figures, of a run by name where there are several; see ``make_report``."""
    of_run = {"run": run} if run else {}
    return {
        "reasons": {
            (run, record["model"], record["style"], record["set"], method): reason
            for record in records.evaluations
            for method, reason in record["holes"].items()
            if method in record["methods"]
        },
        "holes": [_shown_hole(hole) | of_run for hole in records.holes],
        "temperatures": _once(
            {"model": record["model"], "style": record["style"], **fitted, **of_run}
            for record in records.evaluations
            for fitted in record["temperatures"]
        ),
        "trainings": _once(
            {**training, **of_run} for record in records.evaluations for training in record["trainings"]
        ),
        "notes": _once(note for record in records.evaluations for note in record["notes"]),
    }


def _shown_hole(hole: Mapping[str, Any]) -> dict[str, Any]:
    """As the page reads it: a set is there called the split that all of its rows bear."""
    rest = {name: value for name, value in hole.items() if name != "set"}
    return rest | ({"split": hole["set"]} if hole["set"] else {})


def _once(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order of the first."""
    found = list[Any]()
    for value in values:
        if value not in found:
            found.append(value)
    return found
