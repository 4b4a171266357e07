"""The card of a bundle: what a page of the hub, and a reader of the directory, is told of it."""

from collections.abc import Sequence

from raycalib.bundles.record import BundleRecord, FiguresRecord
from raycalib.evaluation.methods import PROBE, TUNED
from raycalib.lm.adapter_names import ADAPTER_CONFIG
from raycalib.storage import Location

CARD, DIAGRAM = "README.md", "reliability.png"
LICENCES = {"meta-llama/Llama-2": "llama2", "mistralai/Mistral-7B": "apache-2.0"}
"""Of base models that are known, by the beginning of their ids."""
VLLM_DEFAULT_RANK, VLLM_RANKS = 16, (32, 64, 128, 256, 320, 512)
"""Of vLLM 0.32's --max-lora-rank."""
SHOWN = ("accuracy", "ece", "auroc", "brier", "nll")
TITLES = {"accuracy": "accuracy", "ece": "ECE", "auroc": "AUROC", "brier": "Brier", "nll": "NLL"}
METHODS = {
    "lora_prompt": "the model itself, with this adapter, is asked whether the answer is correct (LoRA + Prompt)",
    "lora": "a classifier on the last hidden state, tuned together with this adapter (LoRA)",
    "probe": "a classifier on the last hidden state of the unchanged model (Probe)",
    "combined": "a weighted sum of what the bundle's other methods say",
}


def model_card(record: BundleRecord, name: str, *, has_diagram: bool, licence: str = "", rank: int = 0) -> str:
    """The card, with the hub's metadata and model-index at its head.

    Args:
        record: of the bundle; its texts are such that no page reads them as anything else.
        name: of the bundle, as commands name it: ``org/name``, or a directory.
        has_diagram: whether ``reliability.png`` lies beside it.
        licence: of the base model, by the hub's name; empty is what is known of it, else ``other``.
        rank: of the adapter at the bundle's top; see ``adapter_rank``.
    """
    head = _metadata(record, name, licence or licence_of(record)).to_yaml()
    body = [
        f"# {name.rpartition('/')[2]}",
        f"How likely is an answer of **{record.base.name}** to be right? This bundle says so, for "
        f"{'open-ended questions' if record.style == 'oe' else 'questions with lettered options'}: calibration tuning "
        "([arXiv 2406.08391](https://arxiv.org/abs/2406.08391)) by raycalib. The confidence of "
        f"`{record.default}`: {METHODS[record.default]}.",
        *_figures(record),
        *(["![Reliability diagram](reliability.png)"] if has_diagram else []),
        *_use(record, name, rank),
        *_limits(record),
    ]
    return f"---\n{head}\n---\n\n" + "\n\n".join(body) + "\n"


def licence_of(record: BundleRecord) -> str:
    """The licence of the base model, as far as it is known."""
    return next((licence for start, licence in LICENCES.items() if record.base.path.startswith(start)), "other")


def _metadata(record: BundleRecord, name: str, licence: str):  # type: ignore[no-untyped-def]
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="question-answering",
            task_name="Is this answer right?",
            dataset_type=figures.set,
            dataset_name=figures.set,
            metric_type=metric,
            metric_name=TITLES[metric],
            metric_value=round(value, 4),
        )
        for figures in record.methods[record.default].figures
        for metric in SHOWN
        if metric in figures.metrics and (value := figures.metrics[metric]["value"]) is not None
    ]
    return ModelCardData(
        base_model=record.base.path if record.base.where == "hub" else None,
        library_name="peft" if set(record.methods) & set(TUNED) else "raycalib",
        license=licence,
        license_name="that of the base model" if licence == "other" else None,
        tags=["calibration", "confidence", "raycalib", f"raycalib-{record.style}"],
        model_name=name.rpartition("/")[2],
        eval_results=results or None,
    )


def _figures(record: BundleRecord) -> list[str]:
    method = record.methods[record.default]
    if not method.figures:
        return ["Figures: none are known of it."]
    rows = ["| set | answers | " + " | ".join(TITLES[name] for name in SHOWN) + " |", "|---" * (len(SHOWN) + 2) + "|"]
    rows += [_row(figures) for figures in method.figures]
    calibration = method.calibration
    scaling = {"temperature": "a temperature", "platt": "Platt scaling"}.get(calibration.kind)
    by = f"{scaling} fitted on {calibration.n:,} other answers" if scaling else "no calibration"
    return [
        f"Figures with {by}, each with its 95 % interval; ECE on P(correct), 15 bins of equal mass:",
        "\n".join(rows),
    ]


def _row(figures: FiguresRecord) -> str:
    cells = [_cell(figures.metrics.get(name, {})) for name in SHOWN]
    return f"| {figures.set} | {figures.n:,} | " + " | ".join(cells) + " |"


def _cell(metric: object) -> str:
    value, low, high = (metric.get(name) if isinstance(metric, dict) else None for name in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def _use(record: BundleRecord, name: str, rank: int) -> Sequence[str]:
    options = "" if record.style == "oe" else ', [["Paris", "Rome", "Lima"]]'
    base = record.base.path if record.base.where == "hub" else "BASE_DIRECTORY"
    given = f', base="{base}"' if record.base.where == "local" else ""
    parts = [
        "## Use",
        "```python\nfrom raycalib import CalibratedModel\n\n"
        f'model = CalibratedModel.from_pretrained("{name}"{given})\n'
        f'print(model.answer(["What is the capital of France?"]{options}))\n```',
    ]
    if set(record.methods) & set(TUNED):
        parts += [
            "The adapter alone, in PEFT or vLLM; it is to be asked the query, and answers come from the base model "
            "without it:",
            "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
            f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "{name}")\n```',
            f"```\nvllm serve {base} --enable-lora{_rank_flag(rank)} --lora-modules calibrated={name}\n```",
        ]
    return parts


def adapter_rank(place: Location) -> int:
    """The largest rank of the adapter that lies at a place; 0 where there is none.

    Raises:
        StorageError, DataError: its configuration cannot be read.
    """
    if not place.exists(ADAPTER_CONFIG):
        return 0
    config = place.read_json(ADAPTER_CONFIG)
    return max([config["r"], *(config.get("rank_pattern") or {}).values()])


def _rank_flag(rank: int) -> str:
    """What vLLM has to be told of a rank; of larger ones than it knows the rank itself, which it refuses by name."""
    if rank <= VLLM_DEFAULT_RANK:
        return ""
    return f" --max-lora-rank {next((known for known in VLLM_RANKS if known >= rank), rank)}"


def _limits(record: BundleRecord) -> Sequence[str]:
    trained = record.trained_on
    rows = ", ".join(f"{n:,} of {split}" for split, n in trained.rows.items()) or "not recorded"
    probe = " The probe reads the last hidden state." if PROBE in record.methods else ""
    commit = f", commit {record.base.revision}" if record.base.revision else ""
    return [
        "## Limits",
        f"The number is the probability that the grader of the answers it learned from ({trained.grader}) would call "
        f"an answer right, for questions like those of {trained.source}. On other questions, other prompts or a "
        "changed base model it is not calibrated: measure it there. There is none where an answer was cut, has several "
        f"lines, or its question does not fit.{probe}",
        "## Training",
        f"Questions: {trained.source}. Answers labelled by: {trained.grader}. Rows: {rows}. Query: "
        f"`{record.query_version}`. Base model: {record.base.name}{commit}. Its licence holds for what is made of it.",
    ]
