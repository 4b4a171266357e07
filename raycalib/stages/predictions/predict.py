"""From logits, features and what was fitted to predictions of every method for one set. No Ray."""

from collections.abc import Sequence

from raycalib.evaluation.methods import WITH_GIVEN_TEMPERATURE, WITH_PLATT, WITH_TEMPERATURE
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place, text_slug
from raycalib.stages.predictions.evidence import evidence_of
from raycalib.stages.predictions.fit import Fitted
from raycalib.stages.predictions.method_logits import Predictor, nothing, predictor
from raycalib.stages.predictions.prediction import Variant
from raycalib.stages.predictions.write import EVIDENCE_COLUMNS, Planned, write_predictions
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.platt import Platt
from raycalib.tuning.temperature import Temperature

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
    planned = _all_planned(wanted, rows, fitted)
    written = write_predictions(place, planned, evidence_of(rows, combo.style, EVIDENCE_COLUMNS))
    variants = [variant for plan in planned for variant in plan.variants]
    manifest = Manifest(
        stage="predictions",
        key=key,
        config={"model": combo.model.name, **identity},
        inputs=tuple(inputs),
        shards=written.shards,
        counts={"in": written.n_in, "out": sum(written.n_rows)},
        details={
            "methods": [variant.name for variant in variants],
            "holes": {variant.name: variant.reason for variant in variants if variant.reason},
        },
    )
    write_manifest(place, manifest)
    output = finished(place, key)
    assert output is not None, "it was just written"
    return StageOutput(place=place, manifest=output.manifest, was_done=False)


def _all_planned(methods: Sequence[Method], rows: SetRows, fitted: Fitted) -> list[Planned]:
    found = {method.name: predictor(method, rows.scored, fitted.training) for method in methods}
    for name, plain in list(found.items()):
        if lacking := [signal for signal in plain.signals if signal not in found or found[signal].reason]:
            found[name] = nothing(f"{lacking[0]}, which it is made of, has no confidences here")
    return [_planned(method, found[method.name], fitted) for method in methods]


def _planned(method: Method, plain: Predictor, fitted: Fitted) -> Planned:
    """The method as it is, with the temperature and shift that were fitted, and with a temperature that is given."""
    variants = [Variant(name=method.name, reason=plain.reason)]
    for end, fits in ((WITH_TEMPERATURE, fitted.temperatures), (WITH_PLATT, fitted.platts)):
        checked = fits.get(method.name)
        if checked is not None and checked.fitted is None:
            reason = plain.reason or f"not fitted: {checked.reason}"
            variants.append(Variant(name=method.name + end, reason=reason))
        elif checked is not None and checked.fitted is not None:
            variants.append(_scaled(method.name + end, plain, checked.fitted))
    if method.temperature is not None:
        variants.append(_scaled(method.name + WITH_GIVEN_TEMPERATURE, plain, method.temperature))
    return Planned(predictor=plain, variants=variants)


def _scaled(name: str, plain: Predictor, scaling: Temperature) -> Variant:
    shift = scaling.shift if isinstance(scaling, Platt) else 0.0
    return Variant(name=name, temperature=scaling.value, shift=shift, reason=plain.reason)
