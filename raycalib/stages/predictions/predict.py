"""From logits, features and what was fitted to predictions of every method for one set. No Ray: it takes seconds."""

from collections.abc import Sequence
from typing import Any

from raycalib.evaluation.methods import WITH_GIVEN_TEMPERATURE, WITH_TEMPERATURE
from raycalib.records import PREDICTION
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place, text_slug
from raycalib.stages.predictions.evidence import gather_evidence
from raycalib.stages.predictions.fit import Fitted
from raycalib.stages.predictions.method_logits import method_logits
from raycalib.stages.predictions.prediction import Predicted, tempered
from raycalib.storage import Location, Manifest, write_manifest, write_shard

VERSION = 1
"""Goes up where predictions come out otherwise from the same logits."""


def predict(
    combo: Combo, name: str, methods: Sequence[Method], rows: SetRows, fitted: Fitted, out: Location
) -> StageOutput:
    """Predictions of every method on the rows of an evaluation set, each also with a temperature; one shard per method.

    What has no confidences has a shard all the same, and its reason stands in the manifest's ``holes``.

    Args:
        combo: which.
        name: of the set.
        methods: in the order of the shards.
        rows: of the set, with the tuned methods' logits.
        fitted: what was fitted for the combo.
        out: the run's directory.
    """
    wanted = [method for method in methods if method.is_for(combo.style)]
    identity = {
        "version": VERSION,
        "style": combo.style,
        "set": name,
        "methods": [method.identity() for method in wanted],
    }
    inputs = [fitted.output.key, *rows.keys]
    key = stage_key("predictions", identity, inputs)
    place = stage_place(out, "predictions", f"{combo.slug}-{text_slug(name)}", key)
    if done := finished(place, key):
        return done
    say_why_again(place, f"predictions {combo} {name}", identity, tuple(inputs))
    evidence = gather_evidence(rows.labelled, rows.features, combo.style)
    shards, names, holes = list[str](), list[str](), dict[str, str]()
    n_out = 0
    for method in wanted:
        plain = method_logits(method, evidence, rows.scored, fitted.training, combo.style)
        for variant, predicted in _variants(method, plain, fitted).items():
            shards.append(write_shard(place, len(shards), predicted.rows, PREDICTION))
            names.append(variant)
            n_out += len(predicted.rows)
            if predicted.reason:
                holes[variant] = predicted.reason
    manifest = Manifest(
        stage="predictions",
        key=key,
        config={"model": combo.model.name, **identity},
        inputs=tuple(inputs),
        shards=tuple(shards),
        counts={"in": len(evidence.rows), "out": n_out},
        details={"methods": names, "holes": holes},
    )
    write_manifest(place, manifest)
    output = finished(place, key)
    assert output is not None, "it was just written"
    return StageOutput(place=place, manifest=output.manifest, was_done=False)


def _variants(method: Method, plain: Predicted, fitted: Fitted) -> dict[str, Predicted]:
    """By name: as it is, with the temperature that was fitted, and with one that is given."""
    found: dict[str, Any] = {method.name: plain}
    if checked := fitted.temperatures.get(method.name):
        name = method.name + WITH_TEMPERATURE
        found[name] = tempered(plain, name, checked.fitted, checked.reason)
    if method.temperature is not None:
        name = method.name + WITH_GIVEN_TEMPERATURE
        found[name] = tempered(plain, name, method.temperature)
    return found
