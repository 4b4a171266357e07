"""Who judged some labels, by which prompt and when; and what the judge's known errors make of its figures."""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from raycalib.errors import ConfigError
from raycalib.judging.judge_quality import corrected_accuracy
from raycalib.judging.settings import JudgeSettings
from raycalib.stages.output import StageOutput
from raycalib.tuning.label_counts import LabelCounts

FORM = "a judge_quality.json as jobs/label.py --check-judge writes it"


@dataclass(frozen=True, kw_only=True)
class JudgeErrors:
    """How often a judge calls right answers right (sensitivity) and wrong ones wrong (specificity)."""

    sensitivity: float
    specificity: float


def describe_judge(name: str, labelled: Sequence[StageOutput]) -> dict[str, Any]:
    """Name, models as the server named them, prompt version and dates, which every figure of a judge stands beside.

    Dates are of the replies, which may have been kept for long; of labels by string, of the stage.
    """
    rows = (row for output in labelled for row in output.rows(["judge", "judged_on"]))
    said = {(row["judge"], row["judged_on"]) for row in rows if row["judge"] is not None}
    dates = sorted({date for _, date in said if date})
    dates = dates or [labelled[0].manifest.finished[:10]]
    return {
        "name": name,
        "models": sorted({model for model, _ in said}),
        "prompt_version": labelled[0].manifest.details.get("prompt_version"),
        "date": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
    }


def judge_line(judge: dict[str, Any]) -> str:
    """One line of ``describe_judge``."""
    others = [model for model in judge["models"] if model != judge["name"]]
    parts = [f"as {', '.join(others)}" if others else "", f"prompt {judge['prompt_version']}", judge["date"]]
    if judge["prompt_version"] is None:
        parts = [judge["date"]]
    return f"{judge['name']} ({', '.join(part for part in parts if part)})"


def read_judge_errors(judge: JudgeSettings) -> JudgeErrors | None:
    """What the file of ``judge.quality`` says of the judge; None where no file is named.

    Raises:
        ConfigError: it cannot be read, or is of another judge or prompt, or of a judge that tells nothing.
    """
    if judge.quality is None:
        return None
    try:
        found = json.loads(Path(judge.quality).read_text("utf-8"))
        by, version = found["judge"]["name"], found["judge"]["prompt_version"]
        errors = JudgeErrors(
            sensitivity=float(found["sensitivity"]["value"]), specificity=float(found["specificity"]["value"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"judge.quality: {judge.quality} cannot be used ({error!r}); it is {FORM}") from error
    if (by, version) != (judge.model, judge.prompt_version):
        raise ConfigError(
            f"judge.quality: {judge.quality} is of {by} with prompt {version}, and the judge is {judge.model} with "
            f"{judge.prompt_version}; check this one by jobs/label.py --check-judge"
        )
    if errors.sensitivity + errors.specificity <= 1:
        raise ConfigError(
            f"judge.quality: by {judge.quality} this judge tells right from wrong no better than chance (sensitivity "
            f"{errors.sensitivity:g}, specificity {errors.specificity:g}); choose another judge"
        )
    return errors


def judge_notes(labelled: Sequence[StageOutput], errors: JudgeErrors | None = None) -> list[str]:
    """What every table and page of these labels says of their judge; empty for labels by string.

    With its errors, the share of right answers is also given as they correct it (Rogan and Gladen).

    Args:
        labelled: one or more outputs of one judge.
        errors: how often it errs, where that is known.
    """
    judged = [output for output in labelled if "prompt_version" in output.manifest.details]
    if not judged:
        return []
    who = judge_line(describe_judge(judged[0].manifest.details["judge"], judged))
    counts = [output.manifest.counts for output in judged]
    name = _directories(judged)
    notes = [
        f"Labels in {name}: judged by {who}; {sum(count['unscored'] for count in counts):,} of "
        f"{sum(count['out'] for count in counts):,} rows unscored."
    ]
    if errors is None:
        return notes
    rows = (row for output in judged for row in output.rows(["query_label", "judge"]))
    scored = LabelCounts.of(row["query_label"] for row in rows if row["judge"] is not None)
    if scored.n:
        share = scored.n_right / scored.n
        corrected = corrected_accuracy(share, errors.sensitivity, errors.specificity)
        notes.append(
            f"It calls {share:.1%} of {scored.n:,} answers right; with its sensitivity of {errors.sensitivity:.3f} "
            f"and specificity of {errors.specificity:.3f} that stands for {corrected:.1%}."
        )
    return notes


def _directories(outputs: Sequence[StageOutput]) -> str:
    """The outputs' directory, or how their directories begin."""
    first, last = min(names := [output.place.name for output in outputs]), max(names)
    same = [a for a, b in zip(first, last, strict=False) if a == b]
    return first if first == last else f"{first[: len(same)].rstrip('-')}…"
