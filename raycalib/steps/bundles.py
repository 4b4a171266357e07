"""What was tuned, ready to use: a bundle for each combo."""

from collections.abc import Mapping, Sequence

from raycalib.bundles.base import base_record
from raycalib.bundles.record import BundleRecord, MethodRecord, TrainedOn
from raycalib.bundles.save import MethodFiles, is_calibrated, is_saved, save_bundle
from raycalib.bundles.thresholds import kept_certificates
from raycalib.errors import RaycalibError
from raycalib.hashing import stable_hash
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_tokenizer
from raycalib.prompts import QUERY_VERSION
from raycalib.stages.combo import Combo, GivenProbe
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.steps.bundle_parts import Parts, plain
from raycalib.steps.evaluation import NO_PROBES, Evaluation
from raycalib.steps.run import Run
from raycalib.storage import Location, git_commit, versions

FOLDER = "bundles"
VERSION = 1
"""Goes up where another bundle is made of the same."""
NOTHING: Mapping[str, Sequence[Evaluation]] = {}


def bundles(
    run: Run,
    tuned: Sequence[TuneJob],
    evaluated: Mapping[str, Sequence[Evaluation]] = NOTHING,
    figured: Sequence[StageOutput] = (),
    probes: Mapping[Combo, GivenProbe] = NO_PROBES,
) -> dict[Combo, Location]:
    """Writes ``bundles/<model>-<style>``: adapter, classifiers, temperatures, and what is known of them.

    A combo of which nothing was tuned or fitted has none. One whose bundle cannot be written is a hole. What was tuned
    alone gives no confidence yet, and replaces no bundle that does.

    Args:
        run: the run.
        tuned: adapters.
        evaluated: what its methods came to, by model; nothing where they are only tuned.
        figured: their figures, in the same order.
        probes: that a sweep has chosen, in place of those that were fitted.
    """
    of_combo = dict[Combo, list[tuple[Evaluation, StageOutput]]]()
    flat = [each for of_model in evaluated.values() for each in of_model]
    for each, output in zip(flat, figured, strict=True):
        of_combo.setdefault(each.combo, []).append((each, output))
    made = dict[Combo, Location]()
    for combo in of_combo if of_combo else run.combos:
        jobs = [job for job in tuned if (job.model, job.style) == (combo.model, combo.style)]
        try:
            parts = Parts(jobs, of_combo.get(combo, ()), probes.get(combo))
            if files := parts.files():
                made[combo] = _bundle(run, combo, parts, files)
        except RaycalibError as error:
            run.failures.add(combo, error, method="bundle")
    if made:
        say(f"Bundles: {(run.out / FOLDER).uri}")
    return made


def _bundle(run: Run, combo: Combo, parts: Parts, files: Mapping[str, MethodFiles]) -> Location:
    """Writes a combo's bundle, unless it was made from the same before."""
    place = run.out / FOLDER / combo.slug
    key = stable_hash(VERSION, combo.style, run.identity(combo.model), sorted(files), run.query_tokens, parts.keys)
    if is_saved(place, key):
        return place
    if parts.fitted is None and is_calibrated(place):
        say(f"  {place.uri} is kept: it is calibrated, and what is only tuned is not; full_pipeline.py renews it")
        return place
    config, tokens = run.config, query_label_tokens(load_tokenizer(combo.model))
    methods = {name: MethodRecord(calibration=parts.calibration(name), figures=parts.figures(name)) for name in files}
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
            rows=parts.rows(files),
            labelled=parts.jobs[0].labelled.name if parts.jobs else "",
        ),
        certificates=kept_certificates(place, methods),
        versions={name: plain(version) for name, version in versions().items()},
        git_commit=git_commit(),
    )
    save_bundle(place, record, files, parts.diagram(record.default))
    return place
