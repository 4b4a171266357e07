"""docs/loop.py against raycalib: it is run as a reader runs it, and what it leaves is compared, step by step."""

import ast
from collections.abc import Iterator
from contextlib import redirect_stdout
import io
from pathlib import Path
import runpy
import sys
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.judging.string_grading import grade
from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.lm.names import EMBEDDED_ROOT, find_model
from raycalib.lm.query_scoring import QueryScorer
from raycalib.metrics import accuracy, auroc, brier_score, expected_calibration_error
from raycalib.prompts import Example, sanitize
from raycalib.storage import Location
from raycalib.tuning.batches import TuningRow, tuning_row
from raycalib.tuning.figures import StepFigures
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.temperature import fit_temperature
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.validation import read_margins
from raycalib.tuning.world import World

LOOP = Path(__file__).parents[2] / "docs" / "loop.py"
N_ROWS, STEPS = 48, 4
STRONG = {"WARMUP": 1, "LR": 2e-3, "KL_DECAY": 30.0}
"""Constants with which the divergence is a fair part of the loss after a few steps."""
MOST_LINES = 150
FROM_RAYCALIB = {"raycalib.lm.names", "raycalib.sources.facts.questions"}


class Library(NamedTuple):
    """What the loop's model is for raycalib."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def run_loop(*arguments: str, name: str = "__main__") -> dict[str, Any]:
    """What the script has defined when it is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(LOOP), *arguments])
        return runpy.run_path(str(LOOP), run_name=name)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of several threads are rounded otherwise, which steps at a high rate make larger."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def loop() -> SimpleNamespace:
    """The names of the finished script, and what it printed."""
    with redirect_stdout(io.StringIO()) as printed:
        names = run_loop("--rows", str(N_ROWS), "--steps", str(STEPS))
    return SimpleNamespace(**names, printed=printed.getvalue())


@pytest.fixture(scope="module")
def library() -> Library:
    source = find_model("llama2:7b", EMBEDDED_ROOT)
    return Library(load_causal_lm(source, "float32"), load_tokenizer(source))


def splits(loop: SimpleNamespace) -> Iterator[tuple[list[Any], list[Any]]]:
    """Questions and labelled rows of each split."""
    return zip(loop.questions, (loop.train, loop.calibrate, loop.test), strict=True)


def example(question: Any) -> Example:
    return Example(
        context=question["context"], target=question["target"], target_prompt=question["target_prompt"], prompt=""
    )


def tuning_rows(loop: SimpleNamespace, library: Library) -> list[list[TuningRow]]:
    return [
        [
            tuning_row(library.tokenizer, question["row_id"], example(question), row["answer"], int(row["label"]), 512)[
                0
            ]
            for question, row in zip(questions, rows, strict=True)
        ]
        for questions, rows in splits(loop)
    ]


def settings(names: dict[str, Any]) -> TuningSettings:
    """Of the library, from the constants of the script."""
    loop = SimpleNamespace(**names)
    return TuningSettings(
        steps=STEPS,
        global_batch_size=loop.BATCH,
        micro_batch_size=loop.BATCH // 2,
        lr=loop.LR,
        warmup_steps=loop.WARMUP,
        weight_decay=loop.WEIGHT_DECAY,
        max_grad_norm=loop.MAX_NORM,
        kl_decay=loop.KL_DECAY,
        log_every=1,
        max_tokens=512,
        eval_every=STEPS,
        checkpoint_every=STEPS,
        lora=LoraSettings(rank=loop.RANK, alpha=loop.ALPHA, dropout=0.0, targets=ALL_LINEAR_TARGETS),
    )


def test_the_file_is_short_and_plain() -> None:
    source = LOOP.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_LINES
    nodes = list(ast.walk(ast.parse(source)))
    assert not [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert {module for module in imported if module and module.startswith("raycalib")} == FROM_RAYCALIB
    assert not {"peft", "ray", "datasets"} & {str(module).split(".")[0] for module in imported}


def test_it_is_imported_without_being_run() -> None:
    assert "base" not in run_loop(name="loop")


def test_it_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_loop("--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(part in text for part in ("--rows", "--steps", "arXiv 2406.08391", "labelled right or wrong"))


def test_answers_are_those_of_the_engine(loop: SimpleNamespace, library: Library) -> None:
    engine = GreedyGenerator(library.model, library.tokenizer, loop.ANSWER_TOKENS)
    for questions, rows in splits(loop):
        done = engine.generate([GenerationRequest(example(question).text()) for question in questions])
        assert [row["answer"] for row in rows] == [sanitize(one.output) for one in done]


def test_labels_are_those_of_the_exact_grader(loop: SimpleNamespace) -> None:
    for questions, rows in splits(loop):
        pairs = [(question["target"], row["answer"]) for question, row in zip(questions, rows, strict=True)]
        labels = [grade(target, answer, "oe", "exact").query_label for target, answer in pairs]
        assert [row["label"] for row in rows] == labels
        assert set(labels) == {0, 1}


def test_rows_are_tokenized_as_for_tuning(loop: SimpleNamespace, library: Library) -> None:
    for theirs, (_, ours) in zip(tuning_rows(loop, library), splits(loop), strict=True):
        for their, our in zip(theirs, ours, strict=True):
            assert our["query"] == list(their.query_ids)
            assert our["told"] == list(their.kl_ids)
            last = len(their.kl_ids) - 1
            assert our["target_places"] == list(range(last - their.n_target, last))


def test_query_logits_before_tuning_are_the_scorers(loop: SimpleNamespace, library: Library) -> None:
    assert tuple(loop.no_yes) == query_label_tokens(library.tokenizer)
    scorer = QueryScorer(library.model, library.tokenizer)
    for questions, rows in splits(loop):
        answers = [row["answer"] for row in rows]
        scores = scorer.score([example(question).text() for question in questions], answers)
        with torch.no_grad():
            logits = loop.logits_at(loop.base, *ends(rows))[:, loop.no_yes]
        np.testing.assert_allclose(logits, scores.logits, rtol=0, atol=1e-4)


def ends(rows: list[Any]) -> tuple[list[list[int]], list[list[int]]]:
    """The queries, and the place of each one's last token."""
    return [row["query"] for row in rows], [[len(row["query"]) - 1] for row in rows]


@pytest.mark.parametrize("constants", [{}, STRONG], ids=["as they are", "strong divergence"])
def test_losses_and_tuned_margins_are_the_tuners(
    loop: SimpleNamespace,
    library: Library,
    constants: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    tuned, losses = loop.tuned, loop.losses
    if constants:
        for name, value in constants.items():
            monkeypatch.setitem(loop.tune.__globals__, name, value)
        tuned, losses = loop.tune(loop.base, loop.train, loop.no_yes, STEPS)
    train, calibrate, test = tuning_rows(loop, library)
    seen: list[StepFigures] = []
    tuner = Tuner(
        load_causal_lm(find_model("llama2:7b", EMBEDDED_ROOT), "float32"),
        library.tokenizer,
        TuningData(train=train, val=calibrate),
        settings(loop.tune.__globals__),
        seed=loop.SEED,
        checkpoints=Location(str(tmp_path)),
        key="loop",
        world=World(),
        hooks=Hooks(observe_step=seen.append),
    )
    tuner.run()
    assert len(losses) == STEPS
    assert losses == pytest.approx([step.loss for step in seen], rel=1e-4)
    with torch.no_grad():
        margins = loop.query_margin(tuned, loop.test, loop.no_yes)
    np.testing.assert_allclose(margins, read_margins(test, tuner.engine, World(), None), rtol=0, atol=1e-3)
    if constants:  # else a wrong divergence would go unseen
        assert max(step.divergence for step in seen) * loop.tune.__globals__["KL_DECAY"] > 0.005


def margin_sets(loop: SimpleNamespace) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Margins and labels of some kind: as they come, with ties, beyond what a temperature may be, and all alike."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 200)
    for margin in (draw.normal(labels, 2.0), np.round(draw.normal(labels, 2.0)), 50.0 * (2 * labels - 1), 0.0 * labels):
        yield torch.from_numpy(margin).double(), torch.from_numpy(labels).double()
    yield loop.margin, loop.labels
    yield loop.fit_margin, loop.fit_labels


def test_temperatures_are_those_of_the_library(loop: SimpleNamespace) -> None:
    for margin, labels in margin_sets(loop):
        if margin.any():  # without it every temperature is as good; the library's is 1
            ours = loop.fit_temperature(margin, labels)
            assert ours == pytest.approx(fit_temperature(margin.numpy(), labels.numpy()).value, rel=1e-4)


def library_figures(margin: torch.Tensor, labels: torch.Tensor) -> list[float]:
    right, confidence = labels.numpy(), torch.sigmoid(margin).numpy()
    ece = expected_calibration_error(right, confidence)
    return [accuracy(right), ece, auroc(right, margin.numpy()), brier_score(right, confidence)]


def test_figures_are_those_of_the_metrics(loop: SimpleNamespace) -> None:
    for margin, labels in margin_sets(loop):
        assert loop.figures(margin, labels) == pytest.approx(library_figures(margin, labels), rel=0, abs=1e-12)


def test_the_table_shows_both_models_before_and_after_scaling(loop: SimpleNamespace) -> None:
    lines = iter(loop.printed.splitlines()[-4:])
    for name, model in (("base model", loop.base), ("tuned", loop.tuned)):
        with torch.no_grad():
            fit, margin = (loop.query_margin(model, rows, loop.no_yes).double() for rows in (loop.calibrate, loop.test))
        fitted = fit_temperature(fit.numpy(), loop.fit_labels.numpy()).value
        for temperature in (1.0, fitted):
            expected = [temperature, *library_figures(margin / temperature, loop.labels)]
            line = next(lines)
            assert line.startswith(name)
            assert [float(cell) for cell in line.removeprefix(name).split()] == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("flag", ["--rows=0", "--rows=31", "--steps=0"])
def test_too_few_rows_or_steps_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_loop(flag)
    assert stop.value.code == 2
    assert "--rows is at least 32, a step's, and --steps at least 1" in capsys.readouterr().err
