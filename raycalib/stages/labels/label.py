"""The labelling stage: answers → labelled answers, by comparing strings or by a judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from raycalib.errors import ConfigError
from raycalib.judging import STRING_RULES_VERSION, GraderName, judge_prompt, shown_right_answer
from raycalib.judging.estimate import Estimate, estimate
from raycalib.judging.prices import Price, find_price, price_for_limit
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.reply_cache import ReplyCache, reply_key
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.names import ModelSource
from raycalib.records import LABELLED
from raycalib.stages.cluster import Cluster
from raycalib.stages.labels.judge_desk import OpenDesk, judge_key
from raycalib.stages.labels.judged_by import read_judge_errors
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.pools.shard_stage import find_finished, try_shard_stages
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.stages.workers.labels import JudgeWorker, JudgeWorkerConfig, LabelWorker, LabelWorkerConfig, is_asked
from raycalib.stages.workers.rows import queried_text
from raycalib.storage import Location

if TYPE_CHECKING:  # it loads torch, which a judge on a server does not need
    from raycalib.stages.workers.model import ModelWorkerConfig

STAGE = "labelled"
Part = TypeVar("Part")
LABELS_VERSION = 1
"""Goes up where other labels come out of the same answers; rules of strings and prompts have versions of their own."""

SHARDS_AT_ONCE = 8
"""Of a worker that asks a server: while one shard waits for its slowest rows, others have rows to ask."""


class Labelling:
    """Labels the answers of one run; all its judges share one desk, so that limits hold for the run."""

    def __init__(
        self,
        grader: GraderName,
        judge: JudgeSettings,
        out: Location,
        cluster: Cluster,
        judge_model: "ModelWorkerConfig | None" = None,
        asks: bool = True,
        bounds: Bounds | None = None,
    ) -> None:
        """Checks what can be checked before a cent is spent.

        Args:
            grader: ``judge`` asks the judge, the others compare strings.
            judge: how it is asked.
            out: the run's directory.
            cluster: where workers run.
            judge_model: of a judge that runs in the workers.
            asks: a server will be asked, which may want a key; an estimate asks nothing.
            bounds: how many rows may be bad; None is the usual ones.

        Raises:
            ConfigError: a key is missing, or the price that a cost limit depends on.
        """
        self.grader, self.judge, self.out, self.cluster = grader, judge, out, cluster
        self.judge_model = judge_model
        self.bounds = bounds or Bounds()
        self.judge_errors = read_judge_errors(judge) if grader == "judge" else None
        self._desk: OpenDesk | None = None
        self._opening = Lock()
        if grader == "judge" and judge.engine == "openai":
            if judge.model:
                self.price(judge)
            if asks:
                judge_key(judge)

    def price(self, judge: JudgeSettings) -> Price | None:
        """Of the judge's tokens; None where nothing depends on it."""
        find = price_for_limit if judge.max_cost_usd is not None else find_price
        return find(judge.model, judge.price_table)

    def run(self, variant: str, answers: StageOutput, judge_model: str | None = None) -> StageOutput:
        """The labelled answers of one output; see ``try_all``.

        Raises:
            StageError: rows are parked, shards failed, or too many rows are bad.
        """
        outcome = self.try_all(variant, {"": answers}, judge_model)[""]
        if isinstance(outcome, StageError):
            raise outcome
        return outcome

    def try_all(
        self, variant: str, answers: Mapping[Part, StageOutput], judge_model: str | None = None
    ) -> dict[Part, StageOutput | StageError]:
        """The labelled answers of several outputs, or why there are none; what an earlier run did is not done again.

        Args:
            variant: of the stage's directories.
            answers: answer records, by the part that each is.
            judge_model: another model than the settings name.
        """
        judge = self.judge if judge_model is None else replace(self.judge, model=judge_model)
        works = [(self._stage(judge, variant, str(part)), output) for part, output in answers.items()]
        if (
            self.grader == "judge"
            and judge.engine == "openai"
            and not all(find_finished(*work, self.out) for work in works)
        ):
            self._open_desk(judge)
            works = [(self._stage(judge, variant, str(part)), output) for part, output in answers.items()]
        outcomes = try_shard_stages(works, self.out, self.cluster)
        for outcome in outcomes:
            if self.grader == "judge" and isinstance(outcome, StageOutput) and not outcome.was_done:
                self._say_figures(judge, outcome)
        return dict(zip(answers, outcomes, strict=True))

    def find(self, variant: str, part: str, answers: StageOutput) -> StageOutput | None:
        """The labelled answers of a part, where an earlier run finished them."""
        return find_finished(self._stage(self.judge, variant, part), answers, self.out)

    def _stage(self, judge: JudgeSettings, variant: str, part: str) -> ShardStage:
        if self.grader == "judge":
            return self._judge_stage(judge, variant, part)
        return self._string_stage(variant, part)

    def _open_desk(self, judge: JudgeSettings) -> None:
        """Opens the run's desk, unless another thread has."""
        self.cluster.connect()
        with self._opening:
            if self._desk is None:
                self._desk = OpenDesk(judge, self.cache_place(judge), self.out)

    def _string_stage(self, variant: str, part: str) -> ShardStage:
        return ShardStage(
            name=STAGE,
            variant=variant,
            part=part,
            worker=LabelWorker,
            config=LabelWorkerConfig(grader=self.grader),
            identity={"grader": self.grader, "version": LABELS_VERSION, "rules": STRING_RULES_VERSION},
            schema=LABELLED,
            needs_model=False,
            bounds=self.bounds,
        )

    def _judge_stage(self, judge: JudgeSettings, variant: str, part: str) -> ShardStage:
        is_remote = judge.engine == "openai"
        price = self.price(judge) if is_remote else None
        return ShardStage(
            name=STAGE,
            variant=variant,
            part=part,
            worker=JudgeWorker,
            config=JudgeWorkerConfig(
                settings=judge,
                cache=self.cache_place(judge),
                desk=self._desk.address if is_remote and self._desk else None,
                price=price,
                model=None if is_remote else self.judge_model,
                weights=self._weights(judge),
            ),
            identity=self._identity(judge),
            schema=LABELLED,
            needs_model=True,
            gpus=0.0 if is_remote or self.judge_model is None else self.judge_model.gpus,
            shards_at_once=SHARDS_AT_ONCE if is_remote else 1,
            waits_for_server=is_remote,
            keeps_figures=True,
            bounds=self.bounds,
            details={
                "judge": judge.model,
                "prompt_version": judge.prompt_version,
                "date": datetime.now(UTC).date().isoformat(),
                "price": None if price is None else {"as_of": price.as_of, "in": price.input, "out": price.output},
            },
        )

    def _identity(self, judge: JudgeSettings) -> dict[str, Any]:
        return {
            "grader": "judge",
            "version": LABELS_VERSION,
            "rules": STRING_RULES_VERSION,  # of lettered answers
            "judge": judge.identity() | self._weights(judge),
        }

    def _weights(self, judge: JudgeSettings) -> dict[str, Any]:
        """What tells a local judge's weights from others under the same name; empty for a server."""
        if judge.engine == "openai" or self.judge_model is None:
            return {}
        return {"weights": self.judge_model.source.fingerprint(), "dtype": self.judge_model.dtype}

    def cache_place(self, judge: JudgeSettings) -> Location:
        """Where replies are kept."""
        return Location(judge.cache).absolute() if judge.cache else self.out / "judge_cache"

    def _say_figures(self, judge: JudgeSettings, output: StageOutput) -> None:
        details, counts = output.manifest.details, output.manifest.counts
        cost = "" if details["price"] is None else f", ${details['cost_usd']:.4f}"
        if cost and self._desk is not None:
            cost += f" (all runs into this directory: ${self._desk.spent_usd():.4f})"
        say(
            f"  judged by {judge.model} ({judge.prompt_version}): {counts['out']:,} rows, {counts['unscored']:,} "
            f"unscored; {details.get('requests', 0):,} requests, {details.get('cached', 0):,} replies known"
            f"{cost}, {details.get('tokens_in', 0):,} tokens in, {details.get('tokens_out', 0):,} out"
        )

    def estimate(self, answers: Sequence[StageOutput], judge_model: str | None = None) -> Estimate:
        """What judging would take; asks nothing and starts nothing."""
        judge = self.judge if judge_model is None else replace(self.judge, model=judge_model)
        cache = ReplyCache(self.cache_place(judge), judge, self._weights(judge))
        cache.refresh()
        price = find_price(judge.model, judge.price_table) if judge.engine == "openai" else Price(input=0, output=0)
        requests = (
            (messages, cache.get(reply_key(messages)) is not None)
            for output in answers
            for messages in _requests(output, judge)
        )
        n_rows = sum(output.manifest.counts["out"] for output in answers)
        return estimate(n_rows, requests, judge, price, max(1, self.cluster.settings.max_workers))

    def close(self) -> None:
        """Ends the desk."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None


def _requests(answers: StageOutput, judge: JudgeSettings) -> Iterator[Messages]:
    prompt = judge_prompt(judge.prompt)
    for row in answers.rows():
        if is_asked(row):
            yield prompt.messages(queried_text(row), shown_right_answer(row), row["answer"])


def local_judge_model(
    judge: JudgeSettings, source: ModelSource, dtype: Any, ray: RaySettings, max_batch_tokens: int
) -> "ModelWorkerConfig":
    """What a worker with a local judge loads, and the GPUs that it takes.

    Raises:
        ConfigError: vLLM would have to compute on the CPU.
    """
    if judge.engine == "vllm" and ray.device == "cpu":
        raise ConfigError(
            "ray.device: cpu is not allowed with --judge-engine vllm, which computes on its worker's GPUs; leave "
            "one of them out"
        )
    from raycalib.stages.workers.model import ModelWorkerConfig

    return ModelWorkerConfig(
        source=source,
        dtype=dtype,
        use_gpu=ray.on_gpu,
        max_batch_tokens=max_batch_tokens,
        max_new_tokens=judge.max_output_tokens,
        engine=EngineSettings(name="vllm" if judge.engine == "vllm" else "transformers"),
        gpus=ray.gpus_per_worker if judge.engine == "vllm" else ray.gpus_per_transformer,
    )
