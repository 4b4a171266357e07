"""The bundles that a run leaves: of what was evaluated, as the tables have it, and of what was only tuned. No Ray."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycalib import CalibratedModel
from raycalib.bundles.bundle import Bundle, open_bundle
from raycalib.bundles.thresholds import calibration_rows
from raycalib.config import PipelineConfig
from raycalib.lm.names import ModelSource
from raycalib.records import Row
from raycalib.stages.combo import Combo, Method
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.figures import FIGURES_NAME, finite, shard_cells
from raycalib.stages.predictions.fit import Fitted, fit
from raycalib.stages.predictions.predict import predict
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.steps.evaluation import Evaluation
from raycalib.steps.failures import Failures
from raycalib.steps.run import Run
from raycalib.storage import Location, Manifest, read_shard, write_manifest
from raycalib.tuning.combined import fitting_half
from raycalib.tuning.combined_files import load_combined
from raycalib.tuning.settings import ProbeSettings, TuningSettings
from tests.bundles.bundles import TinyLlama, adapter_of, probe_of
from tests.stages.combos import labelled_row, set_rows

steps_bundles = import_module("raycalib.steps.bundles")  # a function hides it
PROBE = ProbeSettings(steps=40, batch_size=16, eval_every=20, lr=1e-2)
N_ROWS = {"train": 120, "val_select": 60, "val_calibrate": 240, "test": 120, "heldout_families": 40}
QUESTIONS, ANSWERS = ["What is the capital of France?", "Why?"], ["Paris", "Rome"]


def rows_of() -> list[Row]:
    draw, found = np.random.default_rng(4), list[Row]()
    for split, n in N_ROWS.items():
        for _ in range(n):
            known, hidden = draw.normal(size=2)
            found.append(
                labelled_row(
                    len(found),
                    split,
                    int(draw.random() < 1 / (1 + np.exp(-(2 * known + 2 * hidden - 1)))),
                    tuned=(0.0, float(3 * known)),
                    feature=[float(hidden), *map(float, draw.normal(size=31))],
                )
                | {"group": f"g{len(found)}"}
            )
    return found


class Made:
    """A run with its tuned adapter, and what its methods came to."""

    def __init__(self, tiny: TinyLlama, model_dir: Path, folder: Path) -> None:
        self.model = ModelSource(name="tiny", path=str(model_dir), is_local=True)
        self.combo, self.out, self.tiny = Combo(model=self.model, style="oe"), Location(str(folder / "run")), tiny
        self.folder = folder

    def run(self, **changes: Any) -> Run:
        return Run(
            config=PipelineConfig(out=self.out.uri, **changes),
            out=self.out,
            cluster=None,  # type: ignore[arg-type]
            combos=(self.combo,),
            methods=(),
            training=None,  # type: ignore[arg-type]
            evaluated=(),
            labelling=None,  # type: ignore[arg-type]
            dtype="float32",
            query_tokens=400,
            query_header={},  # type: ignore[arg-type]
            failures=Failures(),
        )

    def job(self, method: str = "lora_prompt", seed: int = 0) -> TuneJob:
        place = self.out / "tuned" / f"{method}{seed}"
        adapter_of(self.tiny[0], Path(place.uri) / "adapter", seed)
        probe_of(32, Path(place.uri) / "head", seed)
        write_manifest(place, Manifest(stage="tuned", key=f"key{seed}", config={}, counts={"train": 120}))
        return TuneJob(
            model=self.model,
            dtype="float32",
            style="oe",
            settings=TuningSettings(method=method),  # type: ignore[arg-type]
            seed=seed,
            labelled=self.out / "labelled" / "rows-1",
            shards=(),
            input_key="",
            place=place,
            reference=place,
            key=f"key{seed}",
            identity={},
        )

    def evaluated(
        self, names: Sequence[str], with_platt: bool = False
    ) -> tuple[dict[str, list[Evaluation]], list[StageOutput], Fitted]:
        methods, rows = [Method(name=name) for name in names], rows_of()
        training = set_rows(self.out / "rows", "training", rows)
        fitted = fit(self.combo, methods, training, training, PROBE, 1, self.out, with_platt=with_platt)
        found, figured = list[Evaluation](), list[StageOutput]()
        for name in ("heldout_families", "test"):
            output = predict(self.combo, name, methods, set_rows(self.out / "rows", name, rows), fitted, self.out)
            found.append(Evaluation(combo=self.combo, set=name, output=output, fitted=fitted, trainings=(), notes=()))
            place = self.out / "figures" / f"{name}-{with_platt}"
            place.write_json(
                FIGURES_NAME,
                finite([cell for shard in output.shards for cell in shard_cells(read_shard(output.place, shard), 20)]),
            )
            manifest = Manifest(stage="figures", key=output.key, config={})
            figured.append(StageOutput(place=place, manifest=manifest, was_done=False))
        return {"tiny": found}, figured, fitted


@pytest.fixture
def made(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> Made:
    return Made(tiny_llama, tiny_model_dir, tmp_path)


def the_bundle(run: Run, *what: Any) -> Bundle:
    (place,) = steps_bundles.bundles(run, *what).values()
    assert not run.failures.all
    assert place == run.out / "bundles" / run.combos[0].slug
    return open_bundle(place.uri)


@pytest.mark.parametrize(
    ("with_platt", "kind", "end"),
    [(False, "temperature", "+temperature"), (True, "platt", "+platt")],
)
def test_a_bundle_says_what_the_tables_say(made: Made, with_platt: bool, kind: str, end: str) -> None:
    evaluated, figured, fitted = made.evaluated(("zero_shot_query", "lora_prompt", "probe", "combined"), with_platt)
    bundle = the_bundle(made.run(), [made.job()], evaluated, figured)
    assert set(bundle.record.methods) == {"combined", "lora_prompt", "probe"}
    assert bundle.record.default == "lora_prompt"
    for name, method in bundle.record.methods.items():
        checked = fitted.scalings[name].fitted
        assert checked is not None
        assert (method.calibration.kind, method.calibration.n) == (kind, checked.n)
        assert bundle.temperature(name) == checked
        (summary,) = [
            cell["summary"]
            for cell in figured[1].place.read_json(FIGURES_NAME)
            if (cell["summary"]["method"], cell["summary"]["split"]) == (name + end, "test")
        ]
        (test,) = [figures for figures in method.figures if figures.set == "test"]
        assert (test.n, test.metrics["ece"]) == (summary["n"], summary["ece"])
        assert [figures.set for figures in method.figures] == ["heldout_families", "test", "test_fresh_entities"]
    assert bundle.record.trained_on.rows == {"train": 120, "val_calibrate": 240}
    assert load_combined(bundle.place / "combined") == fitted.training.combined

    half = ~fitting_half([row["group"] for row in rows_of() if row["split"] == "val_calibrate"])
    labels = np.array([row["query_label"] for row in rows_of() if row["split"] == "val_calibrate"])
    assert calibration_rows(bundle, "combined").labels.tolist() == labels[half].tolist()
    assert calibration_rows(bundle, "probe").labels.tolist() == labels.tolist()

    told = CalibratedModel.from_pretrained(bundle.place.uri, method="combined").confidence(QUESTIONS, ANSWERS)
    assert all(answer.p_correct is not None for answer in told)


def test_without_one_of_its_signals_a_bundle_has_no_combined(made: Made) -> None:
    evaluated, figured, _ = made.evaluated(("lora_prompt", "probe", "combined"))
    assert set(the_bundle(made.run(), [], evaluated, figured).record.methods) == {"probe"}


def test_what_is_only_tuned_is_a_bundle_that_gives_no_confidence(made: Made) -> None:
    bundle = the_bundle(made.run(), [made.job()])
    assert list(bundle.record.methods) == ["lora_prompt"]
    assert bundle.record.methods["lora_prompt"].calibration.reason.startswith("nothing was evaluated: jobs/full_pipe")
    assert bundle.record.trained_on.rows == {"train": 120}
    (answer, _) = CalibratedModel.from_pretrained(bundle.place.uri).confidence(QUESTIONS, ANSWERS)
    assert (answer.p_correct, answer.reason.startswith("the bundle is not calibrated")) == (None, True)
    assert "no calibration" not in (bundle.place.read_bytes("README.md")).decode()


@pytest.mark.parametrize("method", ["lora", "probe"])
def test_a_tuned_classifier_is_in_it(made: Made, method: str) -> None:
    bundle = the_bundle(made.run(), [made.job(method)])
    head = (made.job(method).head).read_bytes("probe.safetensors")
    assert bundle.place.read_bytes(f"{method}/probe.safetensors") == head
    assert bundle.place.exists("adapter_model.safetensors") is (method == "lora")
    assert CalibratedModel.from_pretrained(bundle.place.uri).method == method


def test_what_is_only_tuned_replaces_no_bundle_that_is_calibrated(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated, figured, _ = made.evaluated(("lora_prompt", "probe"))
    calibrated = the_bundle(made.run(), [made.job()], evaluated, figured)
    assert the_bundle(made.run(), [made.job(seed=1)]).record == calibrated.record
    assert "-oe is kept: it is calibrated" in capsys.readouterr().out


def test_a_tuned_one_is_replaced_by_what_is_tuned_later_and_by_what_is_evaluated(made: Made) -> None:
    weights = [
        the_bundle(made.run(), [made.job(seed=seed)]).place.read_bytes("adapter_model.safetensors") for seed in (0, 1)
    ]
    assert weights[0] != weights[1]
    evaluated, figured, _ = made.evaluated(("lora_prompt", "probe"))
    assert the_bundle(made.run(), [made.job()], evaluated, figured).record.methods["probe"].calibration.n == 240


def test_a_bundle_that_cannot_be_written_is_a_hole_and_no_stop(made: Made) -> None:
    job = made.job()
    (job.adapter / "adapter_model.safetensors").remove()
    run = made.run()
    assert steps_bundles.bundles(run, [job]) == {}
    (failure,) = run.failures.all
    assert (failure.model, failure.style, failure.method) == ("tiny", "oe", "bundle")
