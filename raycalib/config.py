"""The configuration of a whole run."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from raycalib.addresses import secret_problems
from raycalib.errors import ConfigError
from raycalib.evaluation.methods import BASELINES, COMBINED, LORA, LORA_PROMPT, TRAINED
from raycalib.judging import GRADERS, GraderName
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.names import DTYPES, DtypeName
from raycalib.records import PROMPT_STYLES
from raycalib.sources import SourceSettings, evaluation_sets
from raycalib.sources.parts import parse_query_header
from raycalib.stages.settings import RaySettings
from raycalib.tuning.combined import FEWEST_SIGNALS
from raycalib.tuning.plan_settings import PlanSettings
from raycalib.tuning.settings import ProbeSettings, TuningSettings

Scaling = Literal["temperature", "platt"]
SCALINGS = get_args(Scaling)
METHODS = (*BASELINES, *TRAINED, COMBINED)
DEFAULT_METHODS = tuple(method for method in METHODS if method not in (LORA, COMBINED))
"""LoRA without the prompt costs a second tuning, combined half of the calibration rows: both are on request."""


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Everything that a run of the full pipeline needs to know.

    Attributes:
        out: where everything is written: a directory or an fsspec URI (s3://…, gs://…). A second run with the same
            configuration finds what is there.
        models: names of models: the paper's six, hub ids or directories.
        model_root: a directory with one directory per name (llama2-7b, …), or ``embedded`` for the small stand-ins
            that come with raycalib. None asks the Hugging Face hub.
        styles: prompt styles: ``oe`` (open-ended), ``choice`` (lettered options).
        skip: combos to leave out, as ``llama2:13b/oe``; ``llama2:13b`` leaves out all of a model's.
        methods: what gives answers a confidence; each is also shown with a temperature fitted on ``val_calibrate``.
            ``combined`` weighs what the tuned ones say together; its weights take one half of ``val_calibrate``.
        scaling: what is fitted on ``val_calibrate`` for a bundle's confidences: ``temperature``, or ``platt``, a
            temperature and a shift, for where the share of right answers is another; tables then show both.
        source: the dataset: what is trained and validated on, and where it has test rows of its own, evaluated on.
        evaluation_sets: what is evaluated on beside: ``mmlu``, ``mmlu_pro``, ``arc:500``, ``file:PATH``,
            ``hub:ORG/NAME``; where ``test`` or ``heldout_families`` of the dataset itself is named (``test:100``),
            those alone are.
        query_header: whether the query about an answer shows the few-shot examples that it was given with: ``none`` or
            ``as-answered``, for all rows or by part (``mmlu=as-answered train=none``).
        labelled: labelled answers that exist already, in place of the dataset's questions: nothing of them is
            generated or judged (docs/coming-in.md has the forms and columns).
        answers: answers that exist already, likewise; they are labelled.
        adapters: LoRA adapters that exist already, as ``PLACE`` or ``NAME=PLACE``, evaluated as methods of their own.
        probes: classifiers on hidden states, likewise.
        temperatures: temperatures that exist already, as ``PLACE``, a number, or ``METHOD=PLACE``.
        grader: ``exact``, ``contains`` (the right answer's words stand in the answer), ``substring`` (the paper's rule:
            its letters do) or ``judge`` (a model; see ``judge``).
        judge: which model judges, and how it is asked.
        estimate: only say what the judge would take: rows, tokens, cost and hours; answers are generated, nothing is
            asked.
        plan: only say what the run would take: rows, tokens, GPU-hours and dollars of each stage, the judge, disks,
            the head, and memory of each worker by its parts, whether that fits and what to change where it does not.
            No model is loaded, Ray is not started, nothing is written.
        planning: what the plan assumes.
        seed: redraws splits, phrasings, options and training.
        dtype: of the weights; ``auto`` is bfloat16 on a GPU, float32 on a CPU.
        max_new_tokens: at most so many tokens are generated per open-ended answer.
        max_tokens: of any text that is answered or scored, its answer included; a longer one loses the left of its
            context, never its target prompt or query. None is the model's window.
        max_batch_tokens: token budget of a batch in generation and scoring, padding included.
        rows_per_shard: rows of a shard, the unit of work and of resumption.
        n_resamples: of the bootstrap behind each interval.
        max_failed: share of a step's rows (answers, labels, features, scores) that may fail before the run stops with
            the first cause; what is done is kept.
        max_unscored: share of the answers that may stay without a label before the run stops, likewise.
        at_once: how many models are worked on side by side, each with its share of the cluster; 0 is as many as the
            cluster holds workers.
        export: also writes the rows of answers, labels and predictions as one file beside their shards: ``csv`` (what
            a spreadsheet would run as a formula is defused) or ``jsonl``.
        engine: what generates answers; features and queries always come from transformers.
        tuning: settings of LoRA + Prompt, and of LoRA.
        probe: settings of the probe.
        ray: the cluster and its workers.
    """

    out: str = "runs/demo"
    models: tuple[str, ...] = ("llama2:7b",)
    model_root: str | None = None
    styles: tuple[str, ...] = PROMPT_STYLES
    skip: tuple[str, ...] = ()
    methods: tuple[str, ...] = DEFAULT_METHODS
    scaling: Scaling = "temperature"
    source: SourceSettings = field(default_factory=SourceSettings)
    evaluation_sets: tuple[str, ...] = ()
    query_header: tuple[str, ...] = ("none",)
    labelled: str | None = None
    answers: str | None = None
    adapters: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    temperatures: tuple[str, ...] = ()
    grader: GraderName = "exact"
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    estimate: bool = False
    plan: bool = False
    planning: PlanSettings = field(default_factory=PlanSettings)
    seed: int = 137
    dtype: DtypeName = "auto"
    max_new_tokens: int = 32
    max_tokens: int | None = None
    max_batch_tokens: int = 16384
    rows_per_shard: int = 256
    n_resamples: int = 1000
    max_failed: float = 0.05
    max_unscored: float = 0.2
    at_once: int = 0
    export: Literal["none", "csv", "jsonl"] = "none"
    engine: EngineSettings = field(default_factory=EngineSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    ray: RaySettings = field(default_factory=RaySettings)

    @property
    def comes_in(self) -> bool:
        """Whether answers that exist take the place of the dataset's questions."""
        return bool(self.labelled or self.answers)

    def __post_init__(self) -> None:
        problems = _unknown("styles", self.styles, PROMPT_STYLES) + _unknown("methods", self.methods, METHODS)
        problems += _combined_problems(self.methods, len(self.adapters) + len(self.probes))
        if not self.models:
            problems.append("models: at least one is needed")
        if "" in self.models or len(set(self.models)) < len(self.models):
            problems.append(f"models: {', '.join(self.models)!r} has an empty or repeated name; name each once")
        if self.scaling not in SCALINGS:
            problems.append(f"scaling: {self.scaling!r} is unknown; allowed: {', '.join(SCALINGS)}")
        if self.dtype not in DTYPES:
            problems.append(f"dtype: {self.dtype!r} is unknown; allowed: {', '.join(DTYPES)}")
        if self.grader not in GRADERS:
            problems.append(f"grader: {self.grader!r} is unknown; allowed: {', '.join(GRADERS)}")
        problems += _skip_problems(self.skip, self.models, self.styles)
        problems += _given_problems(self.labelled, self.answers, self.models)
        try:
            sets = evaluation_sets(self.source, self.evaluation_sets)
            parse_query_header(self.query_header, [each.name for each in sets])
        except ConfigError as error:
            problems.append(str(error))
        if self.at_once < 0:
            problems.append(f"at_once: {self.at_once} is not allowed; at least 1, or 0 for what the cluster holds")
        problems += _judge_problems(self.grader, self.judge, self.estimate)
        for name in ("max_new_tokens", "max_batch_tokens", "rows_per_shard", "n_resamples"):
            if getattr(self, name) < 1:
                problems.append(f"{name}: {getattr(self, name)} is not allowed; at least 1")
        for name in ("max_failed", "max_unscored"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name}: {getattr(self, name)} is not allowed; a share from 0 to 1")
        if self.max_tokens is not None and self.max_tokens <= self.max_new_tokens:
            problems.append(
                f"max_tokens: {self.max_tokens} is not allowed; above max_new_tokens ({self.max_new_tokens}), so that "
                "there is room for the question"
            )
        if self.tuning.method != LORA_PROMPT:
            problems.append("tuning.method: the pipeline sets it; name what is tuned by --methods, or use jobs/tune.py")
        if self.ray.train_workers > self.tuning.global_batch_size:
            problems.append(
                f"ray.train_workers: {self.ray.train_workers} is not allowed; at most tuning.global_batch_size "
                f"({self.tuning.global_batch_size}), so that each worker has a row in every step"
            )
        if self.tuning.zero_stage and self.ray.train_workers == 1:
            problems.append(
                f"tuning.zero_stage: {self.tuning.zero_stage} shards over several workers, and ray.train_workers is 1; "
                "raise --ray.train-workers or use --tuning.zero-stage 0"
            )
        problems += _problems_of_gpus(self.engine.name, self.ray)
        if self.seed < 0:
            problems.append(f"seed: {self.seed} is not allowed; at least 0")
        problems += secret_problems(self)
        if problems:
            raise ConfigError("; ".join(problems))


def _combined_problems(methods: tuple[str, ...], n_given: int) -> list[str]:
    if COMBINED not in methods or len(set(methods) & set(TRAINED)) + n_given >= FEWEST_SIGNALS:
        return []
    return [f"methods: combined is made of {FEWEST_SIGNALS} tuned ones at least; name more of {', '.join(TRAINED)}"]


def _skip_problems(skip: tuple[str, ...], models: tuple[str, ...], styles: tuple[str, ...]) -> list[str]:
    combos = [f"{model}/{style}" for model in models for style in styles]
    unknown = [name for name in skip if name not in (*combos, *models)]
    if unknown:
        return [f"skip: {unknown[0]!r} is no combo of this run; allowed: {', '.join(combos)}"]
    if combos and all(is_skipped(skip, *combo.rsplit("/", 1)) for combo in combos):
        return [f"skip: {', '.join(skip)} leaves no combo; leave one in"]
    return []


def is_skipped(skip: tuple[str, ...], model: str, style: str) -> bool:
    """Whether a combo is left out.

    >>> is_skipped(("m/oe",), "m", "oe"), is_skipped(("m/oe",), "m", "choice"), is_skipped(("m",), "m", "choice")
    (True, False, True)
    """
    return model in skip or f"{model}/{style}" in skip


def _given_problems(labelled: str | None, answers: str | None, models: tuple[str, ...]) -> list[str]:
    if labelled and answers:
        return ["labelled: labelled answers take the place of answers; name one of --labelled and --answers"]
    if (labelled or answers) and len(models) > 1:
        name = "labelled" if labelled else "answers"
        return [f"{name}: these are answers of one model, and models names {len(models)}; name that one by --models"]
    return []


def _problems_of_gpus(engine: str, ray: RaySettings) -> list[str]:
    gpus = ray.gpus_per_worker
    if gpus and engine == "vllm" and not ray.on_gpu:
        return ["ray.device: cpu is not allowed with --engine vllm, which computes on its worker's GPUs; leave one out"]
    if gpus <= 1:
        return []
    if engine != "vllm":
        return [
            f"ray.gpus_per_worker: {gpus:g} is not allowed with --engine {engine}, whose worker uses one GPU; at "
            "most 1, or --engine vllm for a tensor-parallel group"
        ]
    if gpus != int(gpus):
        return [f"ray.gpus_per_worker: {gpus:g} is not allowed; a tensor-parallel group has whole GPUs, so 1, 2, 4, …"]
    return []


def _judge_problems(grader: str, judge: JudgeSettings, estimate: bool) -> list[str]:
    if grader == "judge" and not judge.model:
        return ["judge.model: the grader 'judge' needs a model; name one by --judge-model"]
    return ["estimate: only a judge costs anything; add --grader judge"] if estimate and grader != "judge" else []


def _unknown(field_name: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> list[str]:
    wrong = [value for value in values if value not in allowed]
    problems = [f"{field_name}: {value!r} is unknown; allowed: {', '.join(allowed)}" for value in wrong]
    if not values:
        problems.append(f"{field_name}: at least one is needed; allowed: {', '.join(allowed)}")
    if len(set(values)) < len(values):
        problems.append(f"{field_name}: {', '.join(values)} names one twice; name each once")
    return problems
