"""Combos of labelled rows with features and logits, written as stages without Ray."""

from collections.abc import Sequence
from typing import Any

from raycalib.lm.names import ModelSource
from raycalib.records import ANSWER, FEATURES, LABELLED, SCORED, Row
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.fit import Fitted, fit
from raycalib.stages.predictions.predict import predict
from raycalib.storage import Location, Manifest, write_shard
from raycalib.tuning.settings import ProbeSettings
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


COMBO = Combo(model=ModelSource(name="m", path="m", is_local=True), style="oe")
SETS = {
    "training": ("train", "val_select", "val_calibrate"),
    "test": ("test",),
    "heldout_families": ("heldout_families",),
}


def set_rows(place: Location, name: str, rows: Sequence[Row]) -> SetRows:
    """The rows of a set with everything that predictions are made from; of the training set only what is calibrated on
    is scored."""
    mine = [row for row in rows if row["split"] in SETS[name]]
    tuned = [row | {"logit_no": row["tuned"][0], "logit_yes": row["tuned"][1]} for row in mine]
    scored = [row for row in tuned if row["split"] not in ("train", "val_select")]
    return SetRows(
        labelled=stage(place / name, "labelled", mine, LABELLED),
        features=stage(place / name, "features", mine, FEATURES),
        scored={"lora_prompt": stage(place / name, "scored", scored, SCORED)},
    )


def evaluated(
    place: Location,
    rows: Sequence[Row],
    names: Sequence[str],
    probe: ProbeSettings,
    seed: int = 1,
    with_platt: bool = False,
) -> tuple[Fitted, dict[str, StageOutput]]:
    """What is fitted for the combo, and its predictions by set."""
    methods = [Method(name=name) for name in names]
    training = set_rows(place, "training", rows)
    fitted = fit(COMBO, methods, training, training, probe, seed, place, with_platt=with_platt)
    return fitted, {
        name: predict(COMBO, name, methods, set_rows(place, name, rows), fitted, place)
        for name in ("test", "heldout_families")
    }


def answers(place: Location, rows: Sequence[Row]) -> StageOutput:
    """The rows before they are labelled."""
    return stage(place, "answers", rows, ANSWER)
