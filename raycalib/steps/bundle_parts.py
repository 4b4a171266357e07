"""What a combo's bundle is made of: the files of each method, and what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import re

import numpy as np

from raycalib.bundles.layout import HELD
from raycalib.bundles.record import CalibrationRecord, FiguresRecord
from raycalib.bundles.save import MethodFiles
from raycalib.evaluation.methods import COMBINED, LORA, LORA_PROMPT, PROBE, WITH_PLATT, WITH_TEMPERATURE
from raycalib.reports.card_plot import reliability_png
from raycalib.reports.figures import filled_bins
from raycalib.sources.facts.splits import TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.stages.combo import GivenProbe
from raycalib.stages.output import StageOutput, finished
from raycalib.stages.predictions.figures import TEST, cells_of
from raycalib.stages.predictions.fit import Fitted
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.steps.evaluation import Evaluation
from raycalib.storage import Location, read_table
from raycalib.tuning.platt import Platt
from raycalib.tuning.probe_files import PROBE_TENSORS
from raycalib.tuning.temperature_check import CheckedTemperature

NOT_SHOWN, LONGEST = re.compile(r"[^\w .:;/+,()@=~#%*-]"), 300
NOT_EVALUATED = "nothing was evaluated: jobs/full_pipeline.py with the same flags calibrates it"


@dataclass(frozen=True)
class Parts:
    """What a run has of a combo.

    Attributes:
        jobs: what was tuned.
        evaluated: its evaluations with their figures; none where it was only tuned.
        probe: that a sweep has chosen, in place of the one that was fitted.
    """

    jobs: Sequence[TuneJob]
    evaluated: Sequence[tuple[Evaluation, StageOutput]] = ()
    probe: GivenProbe | None = None

    @property
    def fitted(self) -> Fitted | None:
        """What was fitted for all evaluations."""
        return self.evaluated[0][0].fitted if self.evaluated else None

    @property
    def keys(self) -> list[str]:
        """Of all that a bundle is made from."""
        if self.fitted is None:
            return [job.key for job in self.jobs]
        return [self.fitted.output.key, *(output.key for _, output in self.evaluated)]

    def files(self) -> dict[str, MethodFiles]:
        """The files of each method that a bundle holds."""
        found = dict[str, MethodFiles]()
        by_method = {str(job.settings.method): job for job in self.jobs}
        shards = _calibration_shards(self.fitted)
        for method in HELD:
            job = by_method.get(method) if method in (LORA_PROMPT, LORA) else None
            probe = self._classifier(method, by_method.get(method))
            combined = self.fitted.training.combined if self.fitted and method == COMBINED else None
            if combined is not None and any(name not in found for name in combined.signals):
                combined = None
            if job is None and probe is None and combined is None:
                continue
            checked = self.scaling(method)
            log_odds, labels = _calibration_rows(self.fitted, shards.get(method))
            found[method] = MethodFiles(
                adapter=None if job is None else job.adapter,
                probe=probe,
                combined=combined,
                temperature=None if checked is None else checked.fitted,
                log_odds=log_odds,
                labels=labels,
            )
        return found

    def _classifier(self, method: str, job: TuneJob | None) -> tuple[Location, str] | None:
        """Directory and file of a method's classifier."""
        if method == PROBE and self.probe is not None:
            return self.probe.place, self.probe.file
        if method in (LORA, PROBE) and job is not None:
            return job.head, PROBE_TENSORS
        if method == PROBE and self.fitted is not None and self.fitted.training.probe is not None:
            return self.fitted.output.place, PROBE_TENSORS
        return None

    def scaling(self, method: str) -> CheckedTemperature | None:
        """The temperature, or Platt scaling, of a method; None where nothing was evaluated."""
        return self.fitted.scalings.get(method) if self.fitted is not None else None

    def shown_as(self, method: str) -> str:
        """The name under which figures have the method as a bundle uses it."""
        checked = self.scaling(method)
        if checked is None or checked.fitted is None:
            return method
        return method + (WITH_PLATT if isinstance(checked.fitted, Platt) else WITH_TEMPERATURE)

    def calibration(self, method: str) -> CalibrationRecord:
        """How a method's log-odds become a probability."""
        checked = self.scaling(method)
        if checked is None or checked.fitted is None:
            nothing = "no rows of val_calibrate" if self.fitted is not None else NOT_EVALUATED
            reason, n = (nothing, 0) if checked is None else (plain(checked.reason), checked.n)
            return CalibrationRecord(kind="none", reason=reason, n=n, nll_before=None, nll_after=None)
        fitted = checked.fitted
        return CalibrationRecord(
            kind="platt" if isinstance(fitted, Platt) else "temperature",
            reason="",
            n=fitted.n,
            nll_before=fitted.nll_before,
            nll_after=fitted.nll_after,
        )

    def figures(self, method: str) -> list[FiguresRecord]:
        """Of the method as the bundle uses it: with its temperature where it has one."""
        shown = self.shown_as(method)
        return [
            _figures(cell["summary"])
            for _, output in self.evaluated
            for cell in cells_of(output)
            if cell["summary"]["method"] == shown
        ]

    def diagram(self, method: str) -> bytes | None:
        """Of the first set that the method has bins of; ``test`` comes first."""
        shown = self.shown_as(method)
        rows = [cell["reliability"] for _, output in self.evaluated for cell in cells_of(output) if cell["reliability"]]
        mine = [row for row in rows if row["method"] == shown and filled_bins(row)]
        mine.sort(key=lambda row: row["split"] != TEST)
        return reliability_png(mine[0]) if mine else None

    def rows(self, files: Mapping[str, MethodFiles]) -> dict[str, int]:
        """Labelled rows that something was fitted on, by split."""
        outputs = [output for job in self.jobs if (output := finished(job.place, job.key)) is not None]
        counts = outputs[0].manifest.counts if outputs else {}
        found = {split: counts[split] for split in (TRAIN, VAL_SELECT) if split in counts}
        n_calibrated = max(len(each.labels) for each in files.values())
        return found | ({VAL_CALIBRATE: n_calibrated} if self.fitted is not None else {})


def _figures(summary: Mapping[str, object]) -> FiguresRecord:
    metrics = {
        name: value
        for name, value in summary.items()
        if isinstance(value, dict) and set(value) == {"value", "low", "high"}
    }
    counts = {name: int(str(summary[name])) for name in ("n", "n_unscored")}
    return FiguresRecord(set=plain(str(summary["split"])), metrics=metrics, **counts)


def _calibration_shards(fitted: Fitted | None) -> dict[str, str]:
    """The shard of predictions on ``val_calibrate``, by method; none where there were no rows."""
    if fitted is None:
        return {}
    names = [str(method["name"]) for method in fitted.output.manifest.config["methods"]]
    return dict(zip(names, fitted.output.shards, strict=bool(fitted.output.shards)))


def _calibration_rows(fitted: Fitted | None, shard: str | None) -> tuple[np.ndarray, np.ndarray]:
    if fitted is None or shard is None:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    rows = read_table(fitted.output.place, shard, ["logit", "query_label"]).drop_null()
    return rows["logit"].to_numpy(), rows["query_label"].to_numpy().astype(np.int64)


def plain(text: str) -> str:
    """The text as a bundle may show it: of files their names alone, other signs as underscores.

    >>> plain("file:/home/me/my <b>.jsonl+arc"), plain("hub:org/name"), plain("runs/a/labelled/b")
    ('file:my _b_.jsonl+arc', 'hub:org/name', 'b')
    """
    return NOT_SHOWN.sub("_", "+".join(_without_directory(part) for part in text.split("+")))[:LONGEST]


def _without_directory(part: str) -> str:
    kind, colon, place = part.rpartition(":")
    return part if kind == "hub" else f"{kind}{colon}{place.rstrip('/').rpartition('/')[2]}"
