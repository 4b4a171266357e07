"""Opens a run: all is checked that can be before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from raycalib.config import PipelineConfig, is_skipped
from raycalib.errors import ConfigError, ModelError, UnknownModelError
from raycalib.evaluation.methods import TUNED
from raycalib.lm.loading import pin_revision
from raycalib.lm.model_check import check_model
from raycalib.lm.names import DtypeName, ModelSource, find_model
from raycalib.lm.query_tokens import query_limit
from raycalib.recorded import RUN_RECORD
from raycalib.sources import check_sets, evaluation_sets, training_set
from raycalib.sources.parts import parse_query_header
from raycalib.sources.question_sets import OWN_SETS
from raycalib.stages.cluster import Cluster
from raycalib.stages.combo import Combo
from raycalib.stages.labels.label import Labelling, local_judge_model
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.steps.failures import Failures
from raycalib.steps.given import check_given
from raycalib.steps.run import Run
from raycalib.storage import Location, check_can_write


@contextmanager
def open_run(
    config: PipelineConfig,
    *,
    job: str = "",
    record: str = "",
    methods: Sequence[str] | None = None,
    learns: bool = True,
    own_sets: bool = True,
) -> Iterator[Run]:
    """A run, once all is checked that can be before anything is written; its cluster and judge end with it.

    Args:
        config: what is done.
        job: which, where it is a part of the pipeline: it leaves the record of a whole run as it is.
        record: name of the file that keeps the resolved configuration; RUN_RECORD, or the job's own, unless given.
        methods: those of the configuration unless given.
        learns: the dataset is used, to learn from or to fit temperatures on.
        own_sets: the dataset's own test rows are evaluated on where none of its sets is named.

    Raises:
        RaycalibError: the first problem, in one line.
    """
    run = _checked(config, tuple(config.methods if methods is None else methods), learns, own_sets)
    is_part = bool(job) and run.out.exists(RUN_RECORD)
    run.out.write_json(record or (f"config-{job}.json" if is_part else RUN_RECORD), asdict(config))
    try:
        yield run
    finally:
        run.labelling.close()
        run.cluster.close()


def _checked(config: PipelineConfig, methods: tuple[str, ...], learns: bool, own_sets: bool) -> Run:
    if config.plan:
        raise ConfigError("plan: this would start a run; only jobs/full_pipeline.py plans, elsewhere leave --plan out")
    failures, found, training = Failures(), _found(config), training_set(config.source)
    has_own = learns and not config.comes_in
    _check_own_sets(config, has_own)
    evaluated = evaluation_sets(config.source, config.evaluation_sets, with_own=has_own and own_sets)
    check_sets([*([training] if has_own else []), *evaluated], config.styles, config.seed)
    out = Location(config.out).absolute()
    check_can_write(out)
    combos = _usable(config, found, failures, methods)
    check_given(config, [combo for combo in combos if not failures.has_lost(combo)], methods)
    automatic: DtypeName = "bfloat16" if config.ray.on_gpu else "float32"
    dtype: DtypeName = automatic if config.dtype == "auto" else config.dtype
    cluster = Cluster(config.ray, out, at_once=config.at_once or _pools_at_once(config))
    labelling = Labelling(
        config.grader,
        config.judge,
        out,
        cluster,
        _judge_model(config, dtype),
        asks=not config.estimate,
        bounds=Bounds(max_failed=config.max_failed, max_unscored=config.max_unscored),
    )
    return Run(
        config=config,
        out=out,
        cluster=cluster,
        combos=tuple(combos),
        methods=methods,
        training=training,
        evaluated=tuple(evaluated),
        labelling=labelling,
        dtype=dtype,
        query_header=parse_query_header(config.query_header, [each.name for each in evaluated]),
        query_tokens=query_limit(config.max_tokens, config.tuning.max_tokens),
        failures=failures,
    )


def _check_own_sets(config: PipelineConfig, has_own: bool) -> None:
    """Raises ConfigError where a dataset's own set is to be evaluated on, and there is no dataset."""
    named = [each.name for each in evaluation_sets(config.source, config.evaluation_sets, with_own=False)]
    if not has_own and (own := [name for name in named if name in OWN_SETS]):
        raise ConfigError(
            f"eval: {own[0]} is a dataset's own set, and none is named; name it by --dataset, or its run by --out"
        )


def _pools_at_once(config: PipelineConfig) -> int:
    """Pools that compute at once where nothing is said; 0 is as many as there are models and workers.

    While a server is asked about one model's answers the whole cluster works for the next one: with parts of it for
    several models all answers would come, and be asked about, at the end.
    """
    return 1 if config.grader == "judge" and config.judge.engine == "openai" else 0


def _found(config: PipelineConfig) -> dict[str, ModelSource | ModelError]:
    """Where the weights of each model are that is not skipped, or why they are not; by name.

    Raises:
        UnknownModelError: a name is none.
    """
    found: dict[str, ModelSource | ModelError] = {}
    for name in config.models:
        if all(is_skipped(config.skip, name, style) for style in config.styles):
            continue
        try:
            found[name] = find_model(name, config.model_root)
        except UnknownModelError:
            raise
        except ModelError as error:
            found[name] = error
    return found


def _usable(
    config: PipelineConfig, found: Mapping[str, ModelSource | ModelError], failures: Failures, methods: Sequence[str]
) -> list[Combo]:
    """All combos, those of models that cannot be used among the failures.

    Raises:
        ModelError: none can be used.
    """
    targets = config.tuning.lora.targets if set(TUNED) & set(methods) else ()
    combos = list[Combo]()
    for name, source in found.items():
        error = source if isinstance(source, ModelError) else None
        model = ModelSource(name=name, path=name, is_local=False) if isinstance(source, ModelError) else source
        if error is None:
            try:
                model = pin_revision(model)
                check_model(model, lora_targets=targets)
            except ModelError as fault:
                error = fault
        of_model = [Combo(model=model, style=s) for s in config.styles if not is_skipped(config.skip, name, s)]
        combos += of_model
        if error is not None and len(found) == 1:
            raise error
        if error is not None:
            for combo in of_model:
                failures.add(combo, error)
    failures.stop_if_none([combo for combo in combos if not failures.has_lost(combo)])
    return combos


def _judge_model(config: PipelineConfig, dtype: DtypeName) -> ModelWorkerConfig | None:
    """Of a judge that runs in the workers."""
    if config.grader != "judge" or config.judge.engine == "openai":
        return None
    source = pin_revision(find_model(config.judge.model, config.model_root))
    check_model(source, is_scored=False)
    return local_judge_model(config.judge, source, dtype, config.ray, config.max_batch_tokens)
