"""What was tuned, ready to use: a bundle for each combo."""

from collections.abc import Mapping, Sequence
import re

import numpy as np

from raycalib.bundles.base import base_record
from raycalib.bundles.layout import HELD
from raycalib.bundles.record import (
    BundleRecord,
    CalibrationRecord,
    FiguresRecord,
    MethodRecord,
    TrainedOn,
)
from raycalib.bundles.save import MethodFiles, is_saved, save_bundle
from raycalib.bundles.thresholds import kept_certificates
from raycalib.errors import RaycalibError
from raycalib.evaluation.methods import LORA, LORA_PROMPT, PROBE, WITH_TEMPERATURE
from raycalib.hashing import stable_hash
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_tokenizer
from raycalib.prompts import QUERY_VERSION
from raycalib.reports.card_plot import reliability_png
from raycalib.reports.figures import filled_bins
from raycalib.sources.facts.splits import TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.stages.combo import Combo, GivenProbe
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput, finished
from raycalib.stages.predictions.figures import TEST, cells_of
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.steps.evaluation import NO_PROBES, Evaluation
from raycalib.steps.run import Run
from raycalib.storage import Location, git_commit, read_table, versions
from raycalib.tuning.probe_files import PROBE_TENSORS
from raycalib.tuning.temperature_check import CheckedTemperature

FOLDER = "bundles"
NOT_SHOWN, LONGEST = re.compile(r"[^\w .:;/+,()@=~#%*-]"), 300
VERSION = 1
"""Goes up where another bundle is made of the same."""


def bundles(
    run: Run,
    evaluated: Mapping[str, Sequence[Evaluation]],
    figured: Sequence[StageOutput],
    tuned: Sequence[TuneJob],
    probes: Mapping[Combo, GivenProbe] = NO_PROBES,
) -> dict[Combo, Location]:
    """Writes ``bundles/<model>-<style>``: adapter, classifiers, temperatures, and what is known of them.

    A combo of which nothing was tuned or fitted has none. One whose bundle cannot be written is a hole.

    Args:
        run: the run.
        evaluated: what its methods came to, by model.
        figured: their figures, in the same order.
        tuned: adapters.
        probes: that a sweep has chosen, in place of those that were fitted.
    """
    of_combo = dict[Combo, list[tuple[Evaluation, StageOutput]]]()
    flat = [each for of_model in evaluated.values() for each in of_model]
    for each, output in zip(flat, figured, strict=True):
        of_combo.setdefault(each.combo, []).append((each, output))
    made = dict[Combo, Location]()
    for combo, found in of_combo.items():
        try:
            jobs = [job for job in tuned if (job.model, job.style) == (combo.model, combo.style)]
            if files := _files(found[0][0], jobs, probes):
                made[combo] = _bundle(run, combo, files, found, jobs)
        except RaycalibError as error:
            run.failures.add(combo, error, method="bundle")
    if made:
        say(f"Bundles: {(run.out / FOLDER).uri}")
    return made


def _files(
    evaluation: Evaluation, jobs: Sequence[TuneJob], probes: Mapping[Combo, GivenProbe]
) -> dict[str, MethodFiles]:
    """What each method consists of that a bundle holds and that has predictions."""
    fitted = evaluation.fitted
    by_method = {str(job.settings.method): job for job in jobs}
    shards = _calibration_shards(fitted.output)
    found = dict[str, MethodFiles]()
    for method in HELD:
        job, probe = by_method.get(method), probes.get(evaluation.combo)
        given: tuple[Location, str] | None = None
        if method == LORA and job is not None:
            given = job.head, PROBE_TENSORS
        elif method == PROBE and probe is not None:
            given = probe.place, probe.file
        elif method == PROBE and fitted.training.probe is not None:
            given = fitted.output.place, PROBE_TENSORS
        if (job if method in (LORA_PROMPT, LORA) else given) is None:
            continue
        checked = fitted.temperatures.get(method)
        log_odds, labels = _calibration_rows(fitted.output.place, shards.get(method))
        found[method] = MethodFiles(
            adapter=job.adapter if job is not None else None,
            probe=given,
            temperature=None if checked is None else checked.fitted,
            log_odds=log_odds,
            labels=labels,
        )
    return found


def _calibration_shards(fitted: StageOutput) -> dict[str, str]:
    """The shard of predictions on ``val_calibrate``, by method; none where there were no rows."""
    names = [str(method["name"]) for method in fitted.manifest.config["methods"]]
    return dict(zip(names, fitted.shards, strict=bool(fitted.shards)))


def _calibration_rows(place: Location, shard: str | None) -> tuple[np.ndarray, np.ndarray]:
    if shard is None:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    rows = read_table(place, shard, ["logit", "query_label"]).drop_null()
    return rows["logit"].to_numpy(), rows["query_label"].to_numpy().astype(np.int64)


def _bundle(
    run: Run,
    combo: Combo,
    files: Mapping[str, MethodFiles],
    found: Sequence[tuple[Evaluation, StageOutput]],
    jobs: Sequence[TuneJob],
) -> Location:
    """Writes a combo's bundle, unless it was made from the same before."""
    place = run.out / FOLDER / combo.slug
    fitted = found[0][0].fitted
    inputs = [fitted.output.key, *(output.key for _, output in found)]
    key = stable_hash(VERSION, combo.style, run.identity(combo.model), sorted(files), run.query_tokens, inputs)
    if is_saved(place, key):
        return place
    config, tokens = run.config, query_label_tokens(load_tokenizer(combo.model))
    methods = {
        name: MethodRecord(
            calibration=_calibration(fitted.temperatures.get(name)),
            figures=[figures for each, output in found for figures in _figures(each, output, name)],
        )
        for name in files
    }
    calibrated = [name for name, files_of in files.items() if files_of.temperature is not None]
    record = BundleRecord(
        key=key,
        base=base_record(combo.model),
        style=combo.style,
        query_version=QUERY_VERSION,
        label_tokens=tokens,
        dtype=run.dtype,
        max_new_tokens=config.max_new_tokens,
        max_tokens=run.query_tokens,
        default=next(iter(calibrated or files)),
        methods=methods,
        trained_on=TrainedOn(
            source=plain(config.labelled or config.answers or config.source.name),
            grader=plain(config.judge.model or "judge") if config.grader == "judge" else config.grader,
            k_shot=bool(config.source.k_shot),
            rows=_rows(files, jobs),
            labelled=jobs[0].labelled.name if jobs else "",
        ),
        certificates=kept_certificates(place, methods),
        versions={name: plain(version) for name, version in versions().items()},
        git_commit=git_commit(),
    )
    save_bundle(place, record, files, _diagram(found, _shown_as(record.default, fitted.temperatures)))
    return place


def _calibration(checked: CheckedTemperature | None) -> CalibrationRecord:
    if checked is None or checked.fitted is None:
        reason = "no rows of val_calibrate" if checked is None else plain(checked.reason)
        n = 0 if checked is None else checked.n
        return CalibrationRecord(kind="none", reason=reason, n=n, nll_before=None, nll_after=None)
    fitted = checked.fitted
    return CalibrationRecord(
        kind="temperature", reason="", n=fitted.n, nll_before=fitted.nll_before, nll_after=fitted.nll_after
    )


def _figures(evaluation: Evaluation, output: StageOutput, method: str) -> list[FiguresRecord]:
    """Of the method as the bundle uses it: with its temperature where it has one."""
    shown = _shown_as(method, evaluation.fitted.temperatures)
    rows = [cell["summary"] for cell in cells_of(output) if cell["summary"]["method"] == shown]
    return [
        FiguresRecord(
            set=plain(row["split"]),
            n=row["n"],
            n_unscored=row["n_unscored"],
            metrics={
                name: value
                for name, value in row.items()
                if isinstance(value, dict) and set(value) == {"value", "low", "high"}
            },
        )
        for row in rows
    ]


def _shown_as(method: str, temperatures: Mapping[str, CheckedTemperature]) -> str:
    """The name under which figures have the method as a bundle uses it."""
    checked = temperatures.get(method)
    return method + WITH_TEMPERATURE if checked is not None and checked.fitted is not None else method


def _diagram(found: Sequence[tuple[Evaluation, StageOutput]], method: str) -> bytes | None:
    """Of the first set that the method has bins of; ``test`` comes first."""
    rows = [cell["reliability"] for _, output in found for cell in cells_of(output) if cell["reliability"]]
    mine = [row for row in rows if row["method"] == method and filled_bins(row)]
    mine.sort(key=lambda row: row["split"] != TEST)
    return reliability_png(mine[0]) if mine else None


def _rows(files: Mapping[str, MethodFiles], jobs: Sequence[TuneJob]) -> dict[str, int]:
    """Labelled rows that something was fitted on, by split."""
    counts = [output.manifest.counts for job in jobs if (output := finished(job.place, job.key)) is not None]
    found = {split: counts[0][split] for split in (TRAIN, VAL_SELECT) if counts and split in counts[0]}
    return found | {VAL_CALIBRATE: max(len(each.labels) for each in files.values())}


def plain(text: str) -> str:
    """The text as a bundle may show it: of files their names alone, other signs as underscores.

    >>> plain("file:/home/me/my <b>.jsonl+arc"), plain("hub:org/name"), plain("runs/a/labelled/b")
    ('file:my _b_.jsonl+arc', 'hub:org/name', 'b')
    """
    return NOT_SHOWN.sub("_", "+".join(_without_directory(part) for part in text.split("+")))[:LONGEST]


def _without_directory(part: str) -> str:
    kind, colon, place = part.rpartition(":")
    return part if kind == "hub" else f"{kind}{colon}{place.rstrip('/').rpartition('/')[2]}"
