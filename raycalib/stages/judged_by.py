"""Who judged some labels, by which prompt and when; and what the judge's known errors make of its figures."""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from raycalib.errors import ConfigError
from raycalib.judging.judge_quality import corrected_accuracy
from raycalib.judging.settings import JudgeSettings
from raycalib.stages.output import StageOutput

FORM = "a judge_quality.json as jobs/label.py --check-judge writes it"


@dataclass(frozen=True, kw_only=True)
class JudgeErrors:
    """How often a judge calls right answers right (sensitivity) and wrong ones wrong (specificity)."""

    sensitivity: float
    specificity: float


def describe_judge(name: str, labelled: StageOutput) -> dict[str, Any]:
    """Name, models as the server named them, prompt version and dates, which every figure of a judge stands beside.

    Dates are of the replies, which may have been kept for long; of labels by string, of the stage.
    """
    details = labelled.manifest.details
    rows = [row for row in labelled.rows(["judge", "judged_on"]) if row["judge"] is not None]
    dates = sorted({row["judged_on"] for row in rows if row["judged_on"]}) or [labelled.manifest.finished[:10]]
    return {
        "name": name,
        "models": sorted({row["judge"] for row in rows}),
        "prompt_version": details.get("prompt_version"),
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


def judge_notes(labelled: StageOutput, errors: JudgeErrors | None = None) -> list[str]:
    """What every table and page of these labels says of their judge; empty for labels by string.

    With its errors, the share of right answers is also given as they correct it (Rogan and Gladen).
    """
    details, counts = labelled.manifest.details, labelled.manifest.counts
    if "prompt_version" not in details:
        return []
    who = judge_line(describe_judge(details["judge"], labelled))
    notes = [
        f"Labels in {labelled.place.uri.rsplit('/', 1)[-1]}: judged by {who}; {counts['unscored']:,} of "
        f"{counts['out']:,} rows unscored."
    ]
    verdicts = [row["query_label"] for row in labelled.rows(["query_label", "judge"]) if row["judge"] is not None]
    scored = [verdict for verdict in verdicts if verdict is not None]
    if errors is not None and scored:
        share = sum(scored) / len(scored)
        corrected = corrected_accuracy(share, errors.sensitivity, errors.specificity)
        notes.append(
            f"It calls {share:.1%} of {len(scored):,} answers right; with its sensitivity of {errors.sensitivity:.3f} "
            f"and specificity of {errors.specificity:.3f} that stands for {corrected:.1%}."
        )
    return notes
