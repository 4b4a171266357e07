"""A small output of every step, made in this process from rows that do not change; no Ray, one thread, float32."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
import json
import math
from pathlib import Path
import random
from typing import Any

import numpy as np
import torch

from raycalib.evaluation.methods import LORA_PROMPT
from raycalib.judging import prompt_versions, string_grading
from raycalib.lm import logits
from raycalib.lm.adapters import save_adapter
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.lm.names import EMBEDDED_ROOT, ModelSource, find_model
from raycalib.prompts import query
from raycalib.records import QUESTION_VERSION, Row
from raycalib.reports import render_page
from raycalib.sources import SourceSettings, evaluation_sets, training_set
from raycalib.sources.given import given_source
from raycalib.sources.given.places import parse_place
from raycalib.stages import export_rows
from raycalib.stages.given import answer_files
from raycalib.stages.given import sets as given_sets
from raycalib.stages.labels import label
from raycalib.stages.predictions import figures, fit, predict, summarize
from raycalib.stages.questions import write_question_set
from raycalib.stages.tuned import tune_job
from raycalib.stages.workers.answers import AnswerWorker
from raycalib.stages.workers.labels import label_by_string
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import FeatureWorker, TunedQueryWorker
from raycalib.stages.workers.rows import queried_example, queried_text
from raycalib.storage import Location
from raycalib.tuning.batches import tuning_row
from raycalib.tuning.settings import ProbeSettings, TuningSettings
from raycalib.tuning.trainer import Tuner, TuningData
from raycalib.tuning.world import World
from tests.sources.drawn import write
from tests.stages.answers import answer
from tests.stages.combos import evaluated, labelled_row

answers_step, features_step, scored_step = (
    import_module(f"raycalib.steps.{name}")
    for name in ("answers", "features", "scored")  # functions hide them
)
SEED = 137
MINE: list[dict[str, Any]] = [
    {"question": f"Which is {n}?", "answer": f"{n}", "options": [f"{n}", "x", "y"], "split": split}
    for n in range(3)
    for split in ("train", "val_select", "val_calibrate", "test")
]
TRICKY = [
    ("banana", "a", "oe"), ("The U.S.", "us", "oe"), ("14", "4", "oe"), ("1,000", "1000", "oe"),
    ("No", "Not sure", "oe"),
    ("Paris", "the city of Paris.", "oe"), ("b", "B", "choice"), ("b", "(b) y", "choice"), ("Zürich", "Zurich", "oe"),
    ("", "", "oe"), ("five", "5", "oe"),
]  # fmt: skip
REPLIES = ("yes", "no", "Yes, it is.", "eyes", "CORRECT", "**no**", "", "yes and no", '{"verdict": "yes"}')


@cache
def model() -> ModelSource:
    return find_model("llama2:7b", EMBEDDED_ROOT)


def worker(**more: Any) -> ModelWorkerConfig:
    return ModelWorkerConfig(
        source=model(), dtype="float32", use_gpu=False, max_batch_tokens=600, max_new_tokens=6, **more
    )


def drawn(place: Path, question_set: Any, style: str) -> list[Row]:
    return list(write_question_set(question_set, style, SEED, 4, Location(str(place))).rows())


def asked(place: Path) -> list[Row]:
    test = evaluation_sets(SourceSettings(limits={"test": 3}), [])[0]
    return [row for style in ("oe", "choice") for row in drawn(place, test, style)]


def answered(place: Path) -> list[Row]:
    """Fixed answers to fixed questions: what is made of them hangs on no model that answers."""
    return [
        row | {name: value for name, value in answer("", "", f"x{n}").items() if name not in row} | {"answer": f"x{n}"}
        for n, row in enumerate(asked(place))
    ]


def questions(place: Path) -> Any:
    path = write(place / "mine.jsonl", MINE)
    facts, own = SourceSettings(limits={"train": 2, "val_select": 1, "val_calibrate": 1, "test": 2}), f"file:{path}"
    sets = [training_set(facts), *evaluation_sets(facts, []), training_set(SourceSettings(name=own, k_shot=("1",)))]
    sets += evaluation_sets(facts, [f"{own}:2"])
    found = [[drawn(place, each, style)[:4] for style in ("oe", "choice")] for each in sets]
    return json.loads(json.dumps(found).replace(str(path), "mine.jsonl"))


def answers(place: Path) -> Any:
    done = AnswerWorker(worker()).process(asked(place))
    names = ("output", "answer", "n_answer_tokens", "log_likelihood", "finish_reason", "n_cut", "error")
    return [[row[name] for name in (*names, "option_log_likelihoods")] for row in done]


def labelled(place: Path) -> Any:
    graders = ("exact", "contains", "substring")
    rows = [answer("r", *texts) for texts in TRICKY] + [answer("r", "a", "a", error="late")]
    done = [label_by_string(row, grader) for grader in graders for row in rows]
    return [[row["grader"], row["target"], row["query_label"], row["unscored_reason"]] for row in done]


def judged(place: Path) -> Any:
    row = answer("r", "Paris", "Rome")
    prompts = [prompt_versions.judge_prompt(name) for name in prompt_versions.JUDGE_PROMPTS]
    return [[p.messages(queried_text(row), "Paris", "Rome"), *(p.parse(text) for text in REPLIES)] for p in prompts]


def features(place: Path) -> Any:
    done = FeatureWorker(worker()).process(answered(place))
    return [[row["logit_no"], row["logit_yes"], *row["feature"][:2], row["n_query_cut"]] for row in done]


def tuner(place: Path) -> tuple[Tuner, Any]:
    tokenizer = load_tokenizer(model())
    rows = [
        tuning_row(tokenizer, f"r{n}", queried_example(row), row["answer"], n % 2, 200)[0]
        for n, row in enumerate(answered(place))
    ]
    made = Tuner(
        load_causal_lm(model(), "float32", False),
        tokenizer,
        TuningData(train=rows[:4], val=rows[2:]),
        TuningSettings(
            steps=4,
            global_batch_size=3,
            micro_batch_size=2,
            lr=4e-3,
            warmup_steps=1,
            weight_decay=0.01,
            max_tokens=200,
            eval_every=2,
            lora=LoraSettings(rank=2, alpha=8.0, dropout=0.0, targets=ALL_LINEAR_TARGETS),
        ),
        seed=SEED,
        checkpoints=Location(str(place / "checkpoints")),
        key="k",
        world=World(),
    )
    return made, made.run()


def tuned(place: Path) -> Any:
    _, state = tuner(place)
    names = ("step", "query_loss", "divergence", "val_nll")
    moved = sum(float(tensor.norm()) for name, tensor in state.tensors.items() if name.startswith("best/causal_lm."))
    return [[[figure[name] for name in names] for figure in state.history], state.best_step, moved]


def scored(place: Path) -> Any:
    """By an adapter whose weights are drawn, so that it hangs on no tuning."""
    from raycalib.lm.adapters import attach_lora

    adapter = attach_lora(
        load_causal_lm(model(), "float32", False), LoraSettings(rank=2, targets=ALL_LINEAR_TARGETS), 1
    )
    generator, weights = torch.Generator().manual_seed(1), {}
    for name, tensor in adapter.named_parameters():
        if "lora_" in name:
            weights[name.replace(".default", "")] = torch.randn(tensor.shape, generator=generator) * 0.1
    save_adapter(adapter, Location(str(place / "adapter")), weights)
    config = worker(adapters=((LORA_PROMPT, Location(str(place / "adapter"))),))
    done = TunedQueryWorker(config).process_task(LORA_PROMPT, answered(place))
    return [[row["logit_no"], row["logit_yes"], row["n_query_cut"]] for row in done]


def calibrated_rows() -> list[Row]:
    draw, rows = random.Random(3), list[Row]()
    for split, n in {"train": 40, "val_select": 30, "val_calibrate": 60, "test": 12, "heldout_families": 4}.items():
        for _ in range(n):
            level = draw.gauss(0, 1.5)
            right = int(draw.random() < 1 / (1 + math.exp(-level)))
            more = {"task": draw.choice("ab"), "logits": (0.0, 2 * level), "tuned": (-level, level)}
            vector = [level, draw.gauss(0, 1)]
            likely = -math.log1p(math.exp(-level))
            rows.append(labelled_row(len(rows), split, right, feature=vector, log_likelihood=likely, **more))
    return rows


def predictions(place: Path) -> tuple[fit.Fitted, Sequence[list[Row]]]:
    names = ("answer_likelihood", "family_rate", "zero_shot_query", "probe", LORA_PROMPT)
    fitted, outputs = evaluated(
        Location(str(place)), calibrated_rows(), names, ProbeSettings(steps=6, batch_size=8, eval_every=2, lr=0.1)
    )
    test = outputs["test"]
    rows = list(test.rows())
    return fitted, [[row for row in rows if row["method"] == name] for name in test.manifest.details["methods"]]


def fitted(place: Path) -> Any:
    made, _ = predictions(place)
    assert made.training.probe is not None
    assert made.training.rates is not None
    margin = made.training.probe.margin(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32))
    temperatures = {
        name: [one.n, one.reason, one.fitted and one.fitted.value] for name, one in made.temperatures.items()
    }
    return [temperatures, vars(made.training.rates), [float(value) for value in margin]]


def predicted(place: Path) -> Any:
    _, by_method = predictions(place)
    return [[of[0]["method"], *([row["row_id"], row["p_correct"]] for row in of[:3])] for of in by_method]


def cells(of: float = 0.7) -> list[dict[str, Any]]:
    rows = [row | {"method": "m", "logit": row["logits"], "p_correct": row["p"]} for row in _confident(of)]
    return figures.shard_cells(rows, 50)


def _confident(of: float) -> list[Row]:
    draw = random.Random(5)
    levels = [draw.gauss(0, 1.5) for _ in range(60)]
    return [
        labelled_row(n, "test", int(draw.random() < of), task="ab"[n % 2])
        | {"logits": level, "p": 1 / (1 + math.exp(-level))}
        for n, level in enumerate(levels)
    ]


def figured(place: Path) -> Any:
    (cell, *_) = cells()
    curves = {part: sorted(cell[part]) for part in ("reliability", "risk_coverage")}
    return figures.finite([cell["summary"], curves, cell["tasks"]])


def report(place: Path) -> Any:
    made = summarize.make_report(
        cells(), reasons={}, holes=[], temperatures=[], trainings=[], notes=["judged by nobody"]
    )
    page = render_page(made)
    texts = [line.strip() for line in page.splitlines() if line.strip().startswith(("<h", "<th", "<p", "<caption"))]
    return [sorted(made), [sorted(row) for row in made["summary"]], made["notes"], made["holes"], len(texts)]


def given(place: Path) -> Any:
    rows = [
        {"context": f"{n}?", "target": "x", "output": "x\ny", "query_label": n % 2 if n else None, "split": split}
        for n in range(4)
        for split in ("train", "validation", "test")
    ]
    path = write(place / "mine.jsonl", rows)
    source = given_source.open_given(
        parse_place(str(path)), kind="labelled", model="m", style="oe", data_root=None, seed=SEED, max_bad_rows=0.0
    )
    out = Location(str(place / "out"))
    outputs = given_sets.write_given(source, styles=["oe"], model="m", out=out, rows_per_shard=3)
    found = {" ".join(key): [len(output.shards), *output.rows()] for key, output in outputs.items()}
    return json.loads(json.dumps(found).replace(str(path), "mine.jsonl"))


def answers_of_files(place: Path) -> Any:
    rows = [{"question": "Q?", "target": target, "answer": "x"} for target in ("x", ["x", "y"], 3, None, "")]
    path = write(place / "mine.jsonl", rows)
    found = list(answer_files.open_answers(str(path), Location(str(place / "out")), 2).rows())
    names = ("context", "target", "aliases", "answer", "style", "split", "error")
    return json.loads(json.dumps([[row[name] for name in names] for row in found]).replace(str(path), "mine.jsonl"))


def exported(place: Path) -> Any:
    from raycalib.records import LABELLED
    from tests.stages.combos import stage

    rows = [labelled_row(0, "test", None) | {"output": "=1+1", "answer": 'a "b"\nc'}, labelled_row(1, "test", 1)]
    output = stage(Location(str(place)), "labelled", rows, LABELLED)
    return [Path(export_rows.export_rows(output, kind)).read_bytes().decode() for kind in ("csv", "jsonl")]


OUTPUTS: dict[str, Callable[[Path], Any]] = {
    "questions": questions,
    "answers": answers,
    "labelled": labelled,
    "judged": judged,
    "features": features,
    "tuned": tuned,
    "scored": scored,
    "fitted": fitted,
    "predictions": predicted,
    "figures": figured,
    "report": report,
    "given rows": given,
    "answers of files": answers_of_files,
    "exported rows": exported,
}
"""By step, from an empty directory to plain values."""

QUERY: dict[str, Callable[[], Any]] = {
    "raycalib/prompts/query.py QUERY_VERSION": lambda: query.QUERY_VERSION,
    "raycalib/lm/logits.py LOGITS_VERSION": lambda: logits.LOGITS_VERSION,
}
STRINGS: dict[str, Callable[[], Any]] = {
    "raycalib/stages/labels/label.py LABELS_VERSION": lambda: label.LABELS_VERSION,
    "raycalib/judging/string_grading.py STRING_RULES_VERSION": lambda: string_grading.STRING_RULES_VERSION,
}
VERSIONS: dict[str, dict[str, Callable[[], Any]]] = {
    "questions": {"raycalib/records.py QUESTION_VERSION": lambda: QUESTION_VERSION},
    "answers": {"raycalib/steps/answers.py VERSION": lambda: answers_step.VERSION},
    "labelled": STRINGS,
    "judged": {
        "raycalib/judging/prompt_versions.py _VERSIONS": lambda: [
            prompt_versions.judge_prompt(name).version for name in prompt_versions.JUDGE_PROMPTS
        ]
    },
    "features": {"raycalib/steps/features.py VERSION": lambda: features_step.VERSION} | QUERY,
    "tuned": {
        "raycalib/stages/tuned/tune_job.py VERSION": lambda: tune_job.VERSION,
        "raycalib/prompts/query.py QUERY_VERSION": lambda: query.QUERY_VERSION,
    },
    "scored": {"raycalib/steps/scored.py VERSION": lambda: scored_step.VERSION} | QUERY,
    "fitted": {"raycalib/stages/predictions/fit.py VERSION": lambda: fit.VERSION},
    "predictions": {"raycalib/stages/predictions/predict.py VERSION": lambda: predict.VERSION},
    "figures": {"raycalib/stages/predictions/figures.py VERSION": lambda: figures.VERSION},
    "report": {"raycalib/stages/predictions/summarize.py VERSION": lambda: summarize.VERSION},
    "given rows": {
        "raycalib/sources/given/given_source.py GIVEN_VERSION": lambda: given_source.GIVEN_VERSION,
        "raycalib/stages/given/sets.py GIVEN_SETS_VERSION": lambda: given_sets.GIVEN_SETS_VERSION,
    },
    "answers of files": {
        "raycalib/stages/given/answer_files.py RIGHT_ANSWERS_VERSION": lambda: answer_files.RIGHT_ANSWERS_VERSION
    },
    "exported rows": {"raycalib/stages/export_rows.py EXPORT_VERSION": lambda: export_rows.EXPORT_VERSION},
}
"""By step, the versions in its key: where each stands, and its value."""
