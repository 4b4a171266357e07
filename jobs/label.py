"""Labels answers right or wrong: by string, by a judge, or by several judges that are compared.

python jobs/label.py --answers runs/demo/answers/llama2-7b-… --grader exact --out runs/labels
python jobs/label.py --answers answers.jsonl --grader judge --judge-model gpt-4o-mini --estimate
python jobs/label.py --answers answers.jsonl --judges gpt-4o-mini,gpt-4.1,exact --out runs/labels
python jobs/label.py --check-judge labelled.jsonl --judge-model gpt-4o-mini --out runs/check

The key of a judge's server is read from OPENAI_API_KEY. The same command again asks only what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError
from raycalib.judging import GRADERS, STRING_GRADERS, GraderName
from raycalib.judging.settings import JudgeSettings
from raycalib.stages.settings import RaySettings

if TYPE_CHECKING:
    from raycalib.stages.cluster import Cluster
    from raycalib.stages.labels.label import Labelling
    from raycalib.stages.workers.model import ModelWorkerConfig
    from raycalib.storage import Location


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What to label, and how.

    Attributes:
        answers: a stage's directory, or a parquet, jsonl or csv file with question, target and answer.
        out: the run's directory.
        grader: exact, contains (the right answer's words stand in the answer), substring (its letters do) or judge.
        judge: which model judges, and how it is asked.
        judges: several models of the judge's server, or exact, contains and substring, by commas; their agreement is
            reported.
        check_judge: a file as for answers with a column label (1 right, 0 wrong) from a person: how good is the judge?
        estimate: only say what judging would take.
        model_root: of a judge that runs in the workers; see full_pipeline.
        rows_per_shard: the unit of work and of resumption, of a file.
        max_batch_tokens: of a judge that runs in the workers.
        max_failed: share of the answers that may have failed before the job stops with the first cause.
        max_unscored: share of the answers that may stay without a label before it stops; what is done is kept.
        export: also writes the rows as one file beside their shards: ``csv`` (what a spreadsheet would run as a formula
            is defused) or ``jsonl``.
        ray: the cluster and its workers.
    """

    answers: str | None = None
    out: str = "runs/labels"
    grader: GraderName = "exact"
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    judges: tuple[str, ...] = ()
    check_judge: str | None = None
    estimate: bool = False
    model_root: str | None = None
    rows_per_shard: int = 256
    max_batch_tokens: int = 8192
    max_failed: float = 0.05
    max_unscored: float = 0.2
    export: Literal["none", "csv", "jsonl"] = "none"
    ray: RaySettings = field(default_factory=RaySettings)

    def __post_init__(self) -> None:
        problems = []
        if self.rows_per_shard < 1:
            problems.append(f"rows_per_shard: {self.rows_per_shard} is not allowed; at least 1")
        for name in ("max_failed", "max_unscored"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name}: {getattr(self, name)} is not allowed; a share from 0 to 1")
        if self.grader not in GRADERS:
            problems.append(f"grader: {self.grader!r} is unknown; allowed: {', '.join(GRADERS)}")
        if len(set(self.names)) < len(self.names):
            problems.append(f"judges: {', '.join(self.names)} names one twice; name each once")
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def names(self) -> list[str]:
        """All who label: models, and rules that compare strings."""
        if self.judges:
            return [name for part in self.judges for name in part.split(",") if name]
        return [self.judge.model if self.check_judge or self.grader == "judge" else self.grader]

    @property
    def models(self) -> list[str]:
        """Of those, the models."""
        return [name for name in self.names if name not in STRING_GRADERS]

    def check(self) -> None:
        """Raises ConfigError where something is missing, which the command line's defaults may be."""
        if (self.answers is None) == (self.check_judge is None):
            raise ConfigError("answers: name answers by --answers, or labelled ones by --check-judge")
        if "" in self.names:
            raise ConfigError("judge.model: a judge needs a model; name one by --judge-model")
        if self.judge.model and not self.models:
            raise ConfigError("grader: --judge-model is named, and no judge is asked; add --grader judge")
        if self.estimate and not self.models:
            raise ConfigError("estimate: only a judge costs anything; add --grader judge and --judge-model")
        if self.judge.quality and len(self.models) > 1:
            raise ConfigError("judge.quality: is of one judge; leave it out with --judges")
        if self.check_judge and len(self.names) > 1:
            raise ConfigError("check_judge: one judge is checked at a time; leave --judges out")


def main(arguments: Sequence[str]) -> None:
    """Labels, compares or checks, or says what that would take."""
    config = simple_config(LabelConfig, arguments, __doc__ or "")
    config.check()
    from raycalib.stages.cluster import Cluster
    from raycalib.stages.export_rows import export_rows
    from raycalib.stages.given.answer_files import open_answers, person_labels
    from raycalib.stages.labels.judged_by import judge_notes
    from raycalib.stages.labels.label_check import COLUMNS, one_class_line
    from raycalib.stages.labels.several_judges import check_judge, compare_judges
    from raycalib.stages.lines.progress import say
    from raycalib.stages.output import text_slug
    from raycalib.storage import Location, check_is_kept

    out = Location(config.out).absolute()
    check_is_kept(out)
    cluster = Cluster(config.ray, out)
    truth = person_labels(config.check_judge) if config.check_judge else []
    by_name = _labellings(config, out, cluster)
    answers = open_answers(config.answers or config.check_judge or "", out, config.rows_per_shard)
    if config.estimate:
        for name in config.models:
            say(by_name[name].estimate([answers], name).line(name))
        return
    labelled = {}
    try:
        for name, labelling in by_name.items():
            model = name if name in config.models else None
            labelled[name] = labelling.run(text_slug(name), answers, model)
    finally:
        for labelling in by_name.values():
            labelling.close()
        cluster.close()
    for name, output in labelled.items():
        counts = output.manifest.counts
        say(f"{name}: {counts['out']:,} rows, {counts['unscored']:,} unscored, in {output.place.uri}")
        if config.export != "none":
            say(f"  all rows: {export_rows(output, config.export)}")
        if line := one_class_line(output.rows(COLUMNS)):
            say(f"  {line}")
        for note in judge_notes([output], by_name[name].judge_errors if name in config.models else None):
            say(f"  {note}")
    if len(labelled) > 1:
        for pair in compare_judges(labelled, out):
            say(_agreement_line(pair))
    for name, output in labelled.items() if truth else ():
        say(_quality_line(check_judge(name, output, truth, out)))


def _labellings(config: LabelConfig, out: "Location", cluster: "Cluster") -> "dict[str, Labelling]":
    """By name; judges of one server share a desk, and so their limits. Prices are looked up before any is asked."""
    from raycalib.stages.labels.label import Labelling
    from raycalib.stages.pools.bounds import Bounds

    bounds = Bounds(max_failed=config.max_failed, max_unscored=config.max_unscored)
    found: dict[str, Labelling] = {}
    shared: Labelling | None = None
    for name in config.names:
        if name in STRING_GRADERS:
            found[name] = Labelling(name, config.judge, out, cluster, bounds=bounds)
            continue
        settings = replace(config.judge, model=name)
        if config.judge.engine != "openai":
            found[name] = Labelling("judge", settings, out, cluster, _local_model(config, name), bounds=bounds)
            continue
        shared = shared or Labelling("judge", settings, out, cluster, asks=not config.estimate, bounds=bounds)
        shared.price(settings)
        found[name] = shared
    return found


def _local_model(config: LabelConfig, name: str) -> "ModelWorkerConfig":
    from raycalib.lm.loading import pin_revision
    from raycalib.lm.model_check import check_model
    from raycalib.lm.names import find_model
    from raycalib.stages.labels.label import local_judge_model

    source = pin_revision(find_model(name, config.model_root))
    check_model(source, is_scored=False)
    dtype = "bfloat16" if config.ray.on_gpu else "float32"
    return local_judge_model(config.judge, source, dtype, config.ray, config.max_batch_tokens)


def _agreement_line(pair: dict[str, Any]) -> str:
    from raycalib.stages.labels.judged_by import judge_line

    kappa = "undefined" if pair["kappa"] is None else f"{pair['kappa']:.3f}"
    share = "" if pair["observed"] is None else f", the same on {pair['observed']:.1%}"
    who = " and ".join(judge_line(pair[name]) for name in ("first", "second"))
    return f"{who}: kappa {kappa}{share} of {pair['n']:,} rows; {pair['n_unscored']:,} unscored by one"


def _quality_line(found: dict[str, Any]) -> str:
    from raycalib.stages.labels.judged_by import judge_line

    def shown(name: str) -> str:
        share = found[name]
        if share["value"] is None:
            return f"{name} undefined (no such rows)"
        return f"{name} {share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] of {share['n']:,}"

    shares = f"{shown('sensitivity')}, {shown('specificity')}"
    return f"{judge_line(found['judge'])}: {shares}, {found['n_unscored']:,} unscored"


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
