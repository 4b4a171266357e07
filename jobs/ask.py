r"""Asks a calibrated model: an answer, how likely it is to be right, and what that number means.

python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-oe                    # questions from the keyboard
python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-oe --question "What is the capital of France?" --json
python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-choice --question "What is the capital of France?" \
    --choices Rome Paris Lima
python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-oe --max-risk 0.1     # withholds what is less sure than that
python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-oe --explain-threshold
python jobs/ask.py --bundle runs/demo/bundles/llama2-7b-oe --in questions.jsonl --out runs/asked    # on a cluster, too
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
import sys
from typing import TYPE_CHECKING, Literal

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError
from raycalib.imports import without_collections
from raycalib.lm.names import DtypeName
from raycalib.printable import printable_json
from raycalib.stages.settings import RaySettings

if TYPE_CHECKING:
    from raycalib.bundles.bundle import Bundle

DESCRIPTION = """Asks a calibrated model: an answer, how likely it is to be right, and what that number means.

Without --question it reads questions from the keyboard, or from standard input, one a line; of a bundle of multiple
choice, with the options behind the question: What is it? | this | that

  --question "..." --json                one line of JSON: answer, p_correct, reason, abstain, threshold
  --question "..." --answer "..."        how likely that answer is to be right, wherever it came from
  --min-confidence 0.8                   withholds answers that are less likely to be right
  --max-risk 0.1                         the same at a threshold above which at most one in ten is wrong, with
                                         probability 95 %; chosen on the bundle's calibration rows and kept in it
  --explain-threshold                    what each threshold keeps, and what can be promised; no model is loaded
  --in questions.jsonl --out DIR         a jsonl, csv or parquet file with a column "question" (and "choices"), answered
                                         by as many workers as there are; killed, the same command goes on where it
                                         was; DIR/answers.jsonl has a line for each question"""
SHORT = {"--in": "--questions", "--device": "--device"}
SEPARATOR = " | "


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """Whom to ask, and what.

    Attributes:
        bundle: directory of a bundle (bundles/llama2-7b-oe below a run), an fsspec URI, an id of the hub, or an adapter
            that the paper's authors released (paper:mistral:7b-instruct/oe).
        question: to ask; None reads questions from the keyboard or from standard input.
        answer: to the question, whose confidence is asked for in place of the model's own answer.
        choices: options of the question, for a bundle of multiple choice.
        questions: a file of questions; --in is short for it.
        out: where the answers to a file's questions are written: a directory or an fsspec URI that all nodes see.
        json: one line of JSON for each answer and nothing else on standard output.
        min_confidence: answers that are less likely to be right are withheld; a share from 0 to 1.
        max_risk: answers are withheld below the threshold above which at most this share is wrong.
        delta: probability that the share of wrong answers is above max_risk all the same.
        explain_threshold: show what each threshold keeps in place of asking.
        method: of the bundle, such as lora_prompt or probe; None is the bundle's own choice.
        base: directory or hub id of the base model, where it is not where the bundle says.
        device: auto, cpu or cuda: where the model computes; auto is a GPU where there is one.
        dtype: of the weights; auto is bfloat16 on a GPU and float32 on a CPU.
        rows_per_shard: questions of a file that are answered as one, and lost at most where a worker dies.
        max_failed: share of a file's rows that may fail.
        ray: the cluster that answers a file's questions, and its workers.
    """

    bundle: str = ""
    question: str | None = None
    answer: str | None = None
    choices: tuple[str, ...] = ()
    questions: str | None = None
    out: str | None = None
    json: bool = False
    min_confidence: float | None = None
    max_risk: float | None = None
    delta: float = 0.05
    explain_threshold: bool = False
    method: str | None = None
    base: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: DtypeName = "auto"
    rows_per_shard: int = 64
    max_failed: float = 0.05
    ray: RaySettings = field(default_factory=RaySettings)

    def __post_init__(self) -> None:
        problems = list[str]()
        for name in ("min_confidence", "max_risk", "delta"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                problems.append(f"{name}: {value} is not allowed; a share above 0 and below 1")
        if self.min_confidence is not None and self.max_risk is not None:
            problems.append("min_confidence: max_risk chooses the threshold; give one of the two")
        if self.question is None and (self.answer is not None or self.choices):
            problems.append("question: --answer and --choices belong to one; give it by --question")
        if (self.questions is None) != (self.out is None):
            problems.append(
                "out: the answers to a file's questions need a place; give --in FILE and --out DIR together"
            )
        if self.questions is not None and (self.question is not None or self.json):
            problems.append("in: a file's answers are written to --out; leave --question and --json out")
        if self.rows_per_shard < 1:
            problems.append(f"rows_per_shard: {self.rows_per_shard} is not allowed; at least 1")
        if self.question is not None and not self.question.strip():
            problems.append("question: it is empty")
        if problems:
            raise ConfigError("; ".join(problems))


def main(arguments: Sequence[str]) -> None:
    """Asks one question, or all that come; what needs torch is imported only once the command line is right."""
    config = simple_config(AskConfig, arguments, DESCRIPTION, SHORT)
    if not config.bundle:
        raise ConfigError("bundle: name one by --bundle, such as runs/demo/bundles/llama2-7b-oe")
    with without_collections():
        from raycalib.bundles.bundle import open_bundle
        from raycalib.bundles.thresholds import explain_lines
    bundle = open_bundle(config.bundle, config.base)
    if config.explain_threshold:
        print("\n".join(explain_lines(bundle, bundle.method(config.method), config.delta)))
    elif config.questions is not None:
        ask_file(config, bundle, threshold_of(config, bundle))
    else:
        ask(config, bundle, threshold_of(config, bundle))


def threshold_of(config: AskConfig, bundle: "Bundle") -> float | None:
    """The least confidence that is asked for; None asks for none.

    Raises:
        ConfigError: none promises the risk that is asked for.
    """
    from raycalib.bundles.thresholds import certify, keep_certificate, no_threshold, promise

    if config.max_risk is None:
        return config.min_confidence
    certificate = certify(bundle, bundle.method(config.method), config.max_risk, config.delta)
    where = "kept in the bundle" if keep_certificate(bundle, certificate) else "the bundle cannot be written to"
    if certificate.threshold is None:
        raise ConfigError(no_threshold(certificate, bundle))
    say(config, f"{promise(certificate)} ({where})")
    return certificate.threshold


def ask(config: AskConfig, bundle: "Bundle", threshold: float | None) -> None:
    """Loads the model, and answers."""
    if config.question is None and sys.stdin.isatty():
        say(config, f"loading {bundle.record.base.name} … (end with Ctrl-D)")
    with without_collections():
        from raycalib.bundles.calibrated_model import CalibratedModel
        from raycalib.bundles.spoken import spoken
        from raycalib.bundles.thresholds import calibration_rows, kept
    model = CalibratedModel(bundle, base=config.base, device=config.device, dtype=config.dtype, method=config.method)
    is_calibrated = bundle.record.methods[model.method].calibration.kind != "none"
    rows = calibration_rows(bundle, model.method) if is_calibrated else None
    for question, choices in questions(config, bundle.record.style):
        given = None if choices is None else [choices]
        try:
            if config.answer is None:
                (answer,) = model.answer([question], given)
            else:
                (answer,) = model.confidence([question], [config.answer], given)
        except ConfigError as error:
            if config.question is not None:
                raise
            print(f"  {error}", file=sys.stderr)
            continue
        if config.json:
            told = {"abstain": not kept(answer.p_correct, threshold), "threshold": threshold}
            print(printable_json({"question": question, **answer.as_json(), **told}), flush=True)
        else:
            print("\n".join(spoken(answer, rows, threshold)), flush=True)


def ask_file(config: AskConfig, bundle: "Bundle", threshold: float | None) -> None:
    """Answers a file's questions on the cluster."""
    from raycalib.steps.ask import AskedFile, ask_file

    assert config.questions is not None
    assert config.out is not None
    ray = replace(config.ray, device=config.device)
    ask_file(
        AskedFile(
            questions=config.questions,
            out=config.out,
            bundle=bundle,
            method=bundle.method(config.method),
            base=config.base,
            threshold=threshold,
            dtype=config.dtype,
            rows_per_shard=config.rows_per_shard,
            max_failed=config.max_failed,
            ray=ray,
        )
    )


def questions(config: AskConfig, style: str) -> Iterator[tuple[str, list[str] | None]]:
    """Each question with its options."""
    if config.question is not None:
        yield config.question, list(config.choices) or None
        return
    for line in lines(config):
        question, *choices = [part.strip() for part in line.split(SEPARATOR)] if style == "choice" else [line.strip()]
        if question:
            yield question, choices or None


def lines(config: AskConfig) -> Iterator[str]:
    """Lines of the keyboard or of standard input, up to its end."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - input() has lines that can be edited with it
    while True:
        try:
            yield input("" if config.json else "question> ")
        except EOFError:
            print(file=sys.stderr)
            return


def say(config: AskConfig, line: str) -> None:
    """What is not an answer: on standard error where only JSON is wanted."""
    print(line, file=sys.stderr if config.json else sys.stdout, flush=True)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=any(argument.partition("=")[0] in ("--in", "--questions") for argument in sys.argv))


if __name__ == "__main__":
    command()
