"""One report of several runs and evaluation jobs, from the predictions that they left."""

from collections.abc import Mapping, Sequence
from typing import Any

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError, DataError, IncompleteError
from raycalib.reports import print_summary
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput, check_whole
from raycalib.stages.predictions.figures import cells_of, run_figures
from raycalib.stages.predictions.summarize import summarize
from raycalib.stages.settings import RaySettings
from raycalib.steps.records import RECORDS_NAME, read_records, shown_of
from raycalib.storage import Location, read_manifest

OWN, EVALUATED, JOINED = "report", "evaluated", "report-all"


def joined_report(
    runs: Sequence[str], out: str | None, n_resamples: int | None, ray: RaySettings
) -> list[dict[str, Any]]:
    """Writes the page and prints the tables; returns the summary's rows.

    Args:
        runs: directories of runs.
        out: of the page.
        n_resamples: of the bootstrap; None is as many as each run has.
        ray: where figures that are not there are computed.

    Raises:
        DataError: a directory holds no run, or what it names is gone.
        IncompleteError: there are holes; the page is there all the same.
    """
    places = [Location(run).absolute() for run in runs]
    target = Location(out).absolute() if out else places[0] / JOINED
    cluster = Cluster(ray, target)
    cells, keys, shown = list[dict[str, Any]](), list[str](), dict[str, Any]()
    try:
        for place, name in zip(places, run_names(places), strict=True):
            records = read_records(_reports(place))
            figured = _figured(place, records.evaluations, n_resamples, cluster)
            for record, output in zip(records.evaluations, figured, strict=True):
                cells += [
                    _of_run(cell, name) for cell in cells_of(output) if cell["summary"]["method"] in record["methods"]
                ]
            keys += [output.key for output in figured]
            _join(shown, shown_of(records, name))
    finally:
        cluster.close()
    summary, _ = summarize(
        cells, keys=keys, shown=shown, config={"runs": [place.uri for place in places]}, place=target
    )
    print_summary(summary, holes=shown["holes"])
    say(f"Report: {target.uri}/index.html")
    if holes := shown["holes"]:
        first = holes[0]
        raise IncompleteError(
            f"incomplete: {len(holes)} holes, the first of them {first['model']}/{first['style']} ({first['reason']}); "
            "the command of its run tries again, and then this one"
        )
    return summary


def run_names(places: Sequence[Location]) -> list[str]:
    """What several runs are called, each otherwise: by as many of the last parts of their paths as that takes; one
    alone has no name.

    >>> run_names([Location("/a/demo"), Location("/b/demo")]), run_names([Location("/a/demo")])
    (['a/demo', 'b/demo'], [''])
    """
    if len(places) == 1:
        return [""]
    parts = [place.uri.rstrip("/").split("/") for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of_place[-length:]) for of_place in parts]
        if len(set(names)) == len(names):
            return names
    raise ConfigError(f"runs: {places[0].uri} is named twice; name each run once")


def _reports(place: Location) -> list[Location]:
    """The run's own report and those of its evaluation jobs, as far as they are there."""
    found = [place / OWN] + [place / EVALUATED / name for name in (place / EVALUATED).names()]
    there = [each for each in found if each.exists(RECORDS_NAME)]
    if not there:
        raise DataError(
            f"run: {place.uri} holds no report of a run or an evaluation job ({OWN}/{RECORDS_NAME}); finish it first, "
            "or name another"
        )
    return there


def _predictions(place: Location, record: Mapping[str, Any]) -> StageOutput:
    predictions = place / record["predictions"]
    manifest = read_manifest(predictions)
    if manifest is None:
        raise DataError(f"run: {predictions.uri} is gone, and the report of its run was made from it; run that again")
    check_whole(predictions, manifest)
    return StageOutput(place=predictions, manifest=manifest, was_done=True)


def _figured(
    place: Location, records: Sequence[Mapping[str, Any]], n_resamples: int | None, cluster: Cluster
) -> list[StageOutput]:
    """The figures of each record; those that are not there are computed together."""
    resamples = [n_resamples or _resamples(place, record) for record in records]
    found = dict[int, StageOutput]()
    for each in dict.fromkeys(resamples):
        indices = [index for index, wanted in enumerate(resamples) if wanted == each]
        outputs = run_figures([_predictions(place, records[index]) for index in indices], each, place, cluster)
        found.update(zip(indices, outputs, strict=True))
    return [found[index] for index in range(len(records))]


def _resamples(place: Location, record: Mapping[str, Any]) -> int:
    """As many as the figures have that the record's report shows; where they are gone, as a run has unless told."""
    manifest = read_manifest(place / record["figures"])
    return PipelineConfig.n_resamples if manifest is None else int(manifest.config["n_resamples"])


def _of_run(cell: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The cell with the run's name in all of its records."""
    if not name:
        return dict(cell)
    named = {part: {**cell[part], "run": name} if cell[part] else None for part in cell if part != "tasks"}
    tasks = cell["tasks"]
    return {**named, "tasks": [{**tasks[0], "run": name}, tasks[1]] if tasks else None}


def _join(joined: dict[str, Any], shown: Mapping[str, Any]) -> None:
    for part, values in shown.items():
        if isinstance(values, Mapping):
            joined.setdefault(part, {}).update(values)
        else:
            joined.setdefault(part, []).extend(values)
