"""Combos of labelled rows with features and logits, written as stages without Ray."""

from collections.abc import Sequence
from typing import Any

from raycalib.records import ANSWER, FEATURES, LABELLED, SCORED, Row
from raycalib.stages.output import StageOutput
from raycalib.stages.predict import Combo
from raycalib.storage import Location, Manifest, write_shard
from tests.stages.answers import answer


def labelled_row(
    number: int,
    split: str,
    label: int | None,
    *,
    task: str = "t",
    logits: tuple[float | None, float | None] = (0.0, 0.0),
    tuned: tuple[float | None, float | None] = (0.0, 0.0),
    feature: list[float] | None = None,
    log_likelihood: float | None = -1.0,
) -> Row:
    """A row of all stages: what each of them writes is taken from it by its schema."""
    return answer(f"r{number}", "Rome", f"a{number}") | {
        "split": split,
        "task": task,
        "log_likelihood": log_likelihood,
        "fresh_entity": number % 2 == 0,
        "query_label": label,
        "grader": "exact",
        "unscored_reason": None if label is not None else "no verdict",
        **dict.fromkeys(("judge", "judge_prompt", "judged_on", "verdict")),
        "retryable": False,
        "n_query_cut": 0,
        "logit_no": logits[0],
        "logit_yes": logits[1],
        "tuned": tuned,
        "feature": feature,
    }


def stage(place: Location, name: str, rows: Sequence[Row], schema: Any) -> StageOutput:
    kept = [{column: row[column] for column in schema.names} for row in rows]
    shards = (write_shard(place / name, 0, kept, schema),)
    manifest = Manifest(stage=name, key=f"{name}-{place.uri}", config={}, shards=shards, counts={"out": len(rows)})
    return StageOutput(place=place / name, manifest=manifest, was_done=False)


def combo(place: Location, rows: Sequence[Row]) -> Combo:
    """One model and style with everything that predictions are made from."""
    tuned = [row | {"logit_no": row["tuned"][0], "logit_yes": row["tuned"][1]} for row in rows]
    evaluated = [row for row in tuned if row["split"] in ("val_calibrate", "test", "heldout_families")]
    return Combo(
        model="m",
        slug="m",
        style="oe",
        labelled=stage(place, "labelled", rows, LABELLED),
        features=stage(place, "features", rows, FEATURES),
        tuned_logits={"lora_prompt": stage(place, "scored", evaluated, SCORED)},
    )


def answers(place: Location, rows: Sequence[Row]) -> StageOutput:
    """The rows before they are labelled."""
    return stage(place, "answers", rows, ANSWER)
