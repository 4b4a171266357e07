"""Whether all questions are within reach of this process, which draws them."""

from collections.abc import Iterator, Sequence

from raycalib.config import PipelineConfig
from raycalib.doctor.check import Check
from raycalib.errors import ConfigError, DataError
from raycalib.sources import QuestionSet, check_sets, evaluation_sets, training_set
from raycalib.sources.drawing.plan import Plan
from raycalib.sources.hub.loading import hub_splits
from raycalib.sources.hub.open_hub import OpenHubSource


def data_check(config: PipelineConfig) -> Check:
    """Looks for files, and asks the hub, or its cache, for the splits of every dataset; no dataset is fetched."""
    try:
        sets = [] if config.comes_in else [training_set(config.source)]
        sets += evaluation_sets(config.source, config.evaluation_sets, with_own=not config.comes_in)
        check_sets(sets, config.styles, config.seed)
        asked = dict.fromkeys(_on_hub(sets, config.seed))
        for name, hub_id, dataset_config in asked:
            hub_splits(name, hub_id, dataset_config)
    except (ConfigError, DataError) as error:
        return Check.of_error("data", error)
    n_asked = f", {len(asked)} dataset(s) of the hub" if asked else ""
    return Check(name="data", found=f"{config.source.name} is within reach{n_asked}")


def _on_hub(sets: Sequence[QuestionSet], seed: int) -> Iterator[tuple[str, str, str | None]]:
    """Name, id and configuration of each dataset that is to be read from the hub; one configuration of each."""
    seen = set[str]()
    for each in sets:
        for source in Plan(each.source, seed).sources.values():
            if isinstance(source, OpenHubSource) and source.data_root is None and source.words.hub_id not in seen:
                seen.add(source.words.hub_id)
                yield source.words.name, source.words.hub_id, source.words.config
