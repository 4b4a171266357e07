"""The full pipeline: questions → answers → labels → features → tuning → predictions → report."""

from collections.abc import Sequence
from dataclasses import asdict, replace
import json
import time
from typing import Any

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.evaluation.methods import LORA_PROMPT, TUNED
from raycalib.judging import STRING_GRADERS
from raycalib.lm.loading import pin_revision
from raycalib.lm.logits import LETTERS_VERSION, LOGITS_VERSION
from raycalib.lm.model_check import check_model
from raycalib.lm.names import DtypeName, ModelSource, find_model
from raycalib.lm.query_tokens import query_limit
from raycalib.prompts import QUERY_VERSION
from raycalib.records import ANSWER, FEATURES, SCORED
from raycalib.reports import print_summary
from raycalib.sources import check_source
from raycalib.stages.bounds import Bounds
from raycalib.stages.cluster import Cluster
from raycalib.stages.judged_by import judge_notes
from raycalib.stages.label import Labelling, local_judge_model
from raycalib.stages.label_check import check_before_tuning
from raycalib.stages.output import StageOutput
from raycalib.stages.predict import EVALUATED_SPLITS, Combo, predict
from raycalib.stages.progress import say
from raycalib.stages.questions import write_questions
from raycalib.stages.select import select_splits
from raycalib.stages.shard_stage import run_shard_stage
from raycalib.stages.spec import ShardStage
from raycalib.stages.split_counts import few_lines, split_line
from raycalib.stages.summarize import summarize
from raycalib.stages.tune import run_tuning
from raycalib.stages.tune_job import TuneJob, training_record, tune_job
from raycalib.stages.unmet_targets import check_targets, counter
from raycalib.stages.workers.answers import AnswerWorker
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import FeatureWorker, TunedQueryWorker
from raycalib.storage import Location, check_can_write
from raycalib.tuning.settings import TuningMethod


class Pipeline:
    """One run. Each step finds what an earlier run finished and does the rest."""

    def __init__(self, config: PipelineConfig) -> None:
        """Checks everything that can be checked before anything is written.

        Raises:
            RaycalibError: the first problem, in one line.
        """
        if config.plan:
            raise ConfigError(
                "plan: this would start a run; only jobs/full_pipeline.py plans, elsewhere leave --plan out"
            )
        self.config = config
        found = [find_model(name, config.model_root) for name in config.models]
        check_source(config.source, config.styles, config.seed)
        self.out = Location(config.out).absolute()
        check_can_write(self.out)
        self.models = [pin_revision(source) for source in found]
        targets = config.tuning.lora.targets if set(TUNED) & set(config.methods) else ()
        for model in self.models:
            check_model(model, lora_targets=targets)
        self.cluster = Cluster(config.ray, self.out)
        # Resolved here, so that shards of a CPU run and of a GPU run never share a directory.
        automatic: DtypeName = "bfloat16" if config.ray.gpus_per_worker else "float32"
        self.dtype: DtypeName = automatic if config.dtype == "auto" else config.dtype
        # One length for all that read a query, so that a text is scored as it was tuned on.
        self.query_tokens = query_limit(config.max_tokens, config.tuning.max_tokens)
        self.bounds = Bounds(max_failed=config.max_failed, max_unscored=config.max_unscored)
        self.labelling = Labelling(
            config.grader,
            config.judge,
            self.out,
            self.cluster,
            self._judge_model(),
            asks=not config.estimate,
            bounds=self.bounds,
        )
        self.done: list[StageOutput] = []

    def _judge_model(self) -> ModelWorkerConfig | None:
        """Of a judge that runs in the workers."""
        config = self.config
        if config.grader != "judge" or config.judge.engine == "openai":
            return None
        source = pin_revision(find_model(config.judge.model, config.model_root))
        check_model(source, is_scored=False)
        return local_judge_model(config.judge, source, self.dtype, config.ray, config.max_batch_tokens)

    def run(self) -> list[dict[str, Any]]:
        """Runs all stages and returns the summary's rows."""
        started = time.monotonic()
        self.out.write_json("config.json", asdict(self.config))
        try:
            summary, report_was_done = self._stages()
        finally:
            self.labelling.close()
            self.cluster.close()
        if self.config.estimate:
            return []
        print_summary(summary)
        seconds = time.monotonic() - started
        if report_was_done and all(output.was_done for output in self.done):
            say(f"Nothing to do: all {len(self.done) + 1} stages were finished ({seconds:.0f} s).")
        else:
            say(f"Finished in {seconds:.0f} s.")
        say(f"Report: {(self.out / 'report').uri}/index.html")
        return summary

    def _refuse_estimate(self) -> None:
        if self.config.estimate:
            raise ConfigError(
                "estimate: this would start a run; only jobs/full_pipeline.py and jobs/label.py say what a judge "
                "takes, elsewhere leave --estimate out"
            )

    def generate(self) -> dict[str, StageOutput]:
        """Runs what generation needs and returns the answers by model; a later ``run`` finds them."""
        self._refuse_estimate()
        self.out.write_json("config.json", asdict(self.config))
        try:
            questions = self._questions()
            answers = {model.name: self._answer(model, questions) for model in self.models}
        finally:
            self.cluster.close()
        for name, output in answers.items():
            counts, details = output.manifest.counts, output.manifest.details
            again = " (finished before)" if output.was_done else ""
            say(f"{name}: {counts['out']:,} answers, {counts['errors']:,} failed{again}: {output.place.uri}")
            say(f"  {json.dumps({'model': name, 'counts': counts, **details})}")
        return answers

    def tune(self, method: TuningMethod) -> list[TuneJob]:
        """Runs what tuning by one method needs and then tunes; a later ``run`` finds what both need."""
        self._refuse_estimate()
        self.out.write_json("config.json", asdict(self.config))
        try:
            questions = self._questions()
            labelled = {
                model.name: self._keep(self.labelling.run(model.slug, self._answer(model, questions)))
                for model in self.models
            }
            jobs = self._tune(labelled, [method])
        finally:
            self.labelling.close()
            self.cluster.close()
        for job in jobs:
            training = job.place.read_json("training.json")
            best = {"best_step": training["best_step"], "val_nll": training["best_nll"]}
            say(f"{job.title}: {job.place.uri}")
            say(f"  {json.dumps({'model': job.model.name, 'style': job.style, 'method': method, **best})}")
        return jobs

    def _questions(self) -> StageOutput:
        config = self.config
        questions = self._keep(
            write_questions(config.source, config.styles, config.seed, config.rows_per_shard, self.out)
        )
        counts = questions.manifest.counts
        shares = split_line(counts, config.styles)
        say(f"questions: {counts['out']:,} rows in {len(questions.shards)} shards: {shares}")
        for line in few_lines(counts, config.styles):
            say(f"  {line}")
        if "oe" in config.styles and config.grader in STRING_GRADERS:
            tokenizers = [counter(model) for model in self.models] if config.engine.name != "openai" else []
            check_targets(questions, config.max_new_tokens, tokenizers)
        return questions

    def _stages(self) -> tuple[list[dict[str, Any]], bool]:
        config = self.config
        questions = self._questions()
        labelled: dict[str, StageOutput] = {}
        features: dict[str, StageOutput] = {}
        for model in self.models:
            answers = self._answer(model, questions)
            if config.estimate:
                say(f"estimate: {self.labelling.estimate(answers).line(config.judge.model)}")
                continue
            labelled[model.name] = self._keep(self.labelling.run(model.slug, answers))
            features[model.name] = self._features(model, answers)
        if config.estimate:
            return [], False
        jobs = self._tune(labelled, [method for method in TUNED if method in config.methods])
        predictions: list[StageOutput] = []
        for model in self.models:
            of_model = [job for job in jobs if job.model == model]
            tuned = {
                method: self._score(model, labelled[model.name], of_method)
                for method in TUNED
                if (of_method := [job for job in of_model if job.settings.method == method])
            }
            for style in config.styles:
                combo = Combo(
                    model=model.name,
                    slug=model.slug,
                    style=style,
                    labelled=labelled[model.name],
                    features=features[model.name],
                    tuned_logits=tuned,
                )
                predictions.append(self._keep(predict(combo, config.methods, config.probe, config.seed, self.out)))
        trainings = [training_record(job) for job in jobs if job.settings.method == LORA_PROMPT]
        notes = [note for output in labelled.values() for note in judge_notes(output, self.labelling.judge_errors)]
        for note in notes:
            say(note)
        return summarize(predictions, trainings, asdict(config), config.n_resamples, self.out, self.cluster, notes)

    def _keep(self, output: StageOutput) -> StageOutput:
        self.done.append(output)
        return output

    def _shards(self, stage: ShardStage, source: StageOutput) -> StageOutput:
        # Of labels alone the unscored rows are bounded: where they are read again they are no news.
        bounded = replace(stage, bounds=replace(self.bounds, max_unscored=1.0))
        return self._keep(run_shard_stage(bounded, source, self.out, self.cluster))

    def _worker_config(self, model: ModelSource, jobs: list[TuneJob] | None = None) -> ModelWorkerConfig:
        return ModelWorkerConfig(
            source=model,
            dtype=self.dtype,
            use_gpu=self.config.ray.gpus_per_worker > 0,
            max_batch_tokens=self.config.max_batch_tokens,
            max_new_tokens=self.config.max_new_tokens,
            max_tokens=self.config.max_tokens,
            adapters=tuple((job.style, job.adapter) for job in jobs or ()),
            heads=tuple((job.style, job.head) for job in jobs or () if job.settings.method != LORA_PROMPT),
            engine=self.config.engine,
            gpus=self.config.ray.gpus_per_worker,
        )

    def _identity(self, model: ModelSource) -> dict[str, Any]:
        return {
            "model": model.name,
            "weights": model.fingerprint(),
            "dtype": self.dtype,
            "query": QUERY_VERSION,
            "logits": LOGITS_VERSION,
            "max_tokens": self.config.max_tokens,
        }

    def _answer(self, model: ModelSource, questions: StageOutput) -> StageOutput:
        stage = ShardStage(
            name="answers",
            variant=model.slug,
            worker=AnswerWorker,
            config=self._worker_config(model),
            identity=self._identity(model)
            | {"max_new_tokens": self.config.max_new_tokens}
            | ({} if self.dtype == "float32" else {"letters": LETTERS_VERSION})
            | self.config.engine.identity(),
            schema=ANSWER,
            needs_model=True,
            cut_column="n_cut",
            margin_column="min_margin",
            gpus=0.0 if self.config.engine.name == "openai" else None,
            waits_for_server=self.config.engine.name == "openai",
        )
        return self._shards(stage, questions)

    def _features(self, model: ModelSource, answers: StageOutput) -> StageOutput:
        stage = ShardStage(
            name="features",
            variant=model.slug,
            worker=FeatureWorker,
            config=replace(self._worker_config(model), max_tokens=self.query_tokens),
            identity=self._identity(model) | {"max_tokens": self.query_tokens},
            schema=FEATURES,
            needs_model=True,
            cut_column="n_query_cut",
            gpus=self.config.ray.gpus_per_transformer,
        )
        return self._shards(stage, answers)

    def _tune(self, labelled: dict[str, StageOutput], methods: Sequence[TuningMethod]) -> list[TuneJob]:
        jobs = [
            tune_job(
                model,
                self.dtype,
                style,
                labelled[model.name],
                replace(self.config.tuning, method=method, max_tokens=self.query_tokens),
                self.config.seed,
                self.out,
            )
            for method in methods
            for model in self.models
            for style in self.config.styles
        ]
        check_before_tuning(labelled, self.config.styles, jobs, self.config.tuning.force_one_class)
        self.done += run_tuning(jobs, self.out, self.cluster)
        return jobs

    def _score(self, model: ModelSource, labelled: StageOutput, jobs: list[TuneJob]) -> StageOutput:
        stage = ShardStage(
            name="scored",
            variant=model.slug,
            worker=TunedQueryWorker,
            config=replace(self._worker_config(model, jobs), max_tokens=self.query_tokens),
            identity=self._identity(model) | {"max_tokens": self.query_tokens, "adapters": [job.key for job in jobs]},
            schema=SCORED,
            needs_model=True,
            cut_column="n_query_cut",
            gpus=self.config.ray.gpus_per_transformer,
        )
        return self._shards(stage, select_splits(labelled, EVALUATED_SPLITS))
