"""What prompts.json says of a source besides its texts, held against raycalib's declaration of it."""

from collections.abc import Callable, Iterable
import re
from typing import Any

from raycalib.sources.hub import MMLU_PRO_CATEGORIES, MMLU_TASKS, HubSource, hub_source
from tests.golden.tally import Tally

PAPER_NAMES = "prompts.json: names of files and functions of the paper's code"
HUB_IDS = "prompts.json: ids on the hub; the paper's loading scripts have moved or run no more (docs/differences.md)"
HUB_FLAGS = "prompts.json: flags of loading scripts, which raycalib does not run"
DRAWS_ANSWERS = "prompts.json: whether answers are drawn in place of a model's, which raycalib never does"
REMARKS = "prompts.json: remarks on how the file was made"
NO_SOURCE = "prompts.json/split_map: remarks on the paper's code that are about no source"

DATASET = {"kshot_defaults", "train_kshot_supported", "hub_splits", "hub_rows", "registered", "styles"}
DATASET_LEFT_OUT = dict.fromkeys(("module", "format_sample_from", "loader"), PAPER_NAMES)
REGISTERED = {"load_dataset_args", "attrs", "eval_only"}

Pair = tuple[object, object]
"""What raycalib declares, and what the golden file says."""

SPLIT = r"(?:train|validation|test)"


def compare_declaration(source: HubSource, dataset: dict[str, Any], tally: Tally) -> None:
    """Configuration, categories, splits and default numbers of few-shot examples of one source."""
    where, registered = f"{source.name}/declared", dataset["registered"][source.name]
    tally.account(f"{source.name}/registered", registered, REGISTERED, {"load_dataset_kwargs": HUB_FLAGS})
    tally.compare(f"{where}/evaluation_only", source.evaluation_only, registered["eval_only"])
    hub_id, *config = registered["load_dataset_args"] or [None]
    tally.leave_out(HUB_IDS, hub_id is not None)
    if config:
        tally.compare(f"{where}/config", [source.config], config)
    attrs = registered["attrs"]
    tally.account(f"{source.name}/attrs", attrs, ("task_categories", "tags"), {})
    tally.compare(f"{where}/tags", ["eval_only"] if source.evaluation_only else [], attrs.get("tags", []))
    categories = attrs.get("task_categories")
    if categories is not None:
        ours = MMLU_TASKS if isinstance(categories, dict) else list(MMLU_PRO_CATEGORIES)
        tally.compare(f"{where}/task_categories", ours, categories)
    used = {*source.splits.values(), source.shots_from}
    tally.compare(f"{where}/hub splits that are not there", used - set(dataset["hub_splits"]), set())
    tally.compare(f"{where}/may train", "train" in source.splits, dataset["train_kshot_supported"])
    compare_shots(where, source, dataset["kshot_defaults"], tally)


def compare_shots(where: str, source: HubSource, defaults: dict[str, Any], tally: Tally) -> None:
    """Few-shot examples where nothing else is asked for."""
    tally.account(where, defaults, ("train_kshot", "eval_kshot"), {"with_query_label": DRAWS_ANSWERS})
    tally.compare(f"{where}/shots in train", source.shots_in("train"), defaults.get("train_kshot", 0))
    for split in ("validation", "test"):
        tally.compare(f"{where}/shots in {split}", source.shots_in(split), defaults["eval_kshot"])


def _absent(source: HubSource, found: re.Match[str]) -> Pair:
    return found[1] in source.splits, False


def _popped(source: HubSource, found: re.Match[str]) -> Pair:
    return found[1] in source.splits.values(), False


def _shots(source: HubSource, found: re.Match[str]) -> Pair:
    return source.shots_from, found[1]


def _shots_of_its_own(source: HubSource, found: re.Match[str]) -> Pair:
    return [source.shots_from], list(source.splits.values())


def _only(source: HubSource, found: re.Match[str]) -> Pair:
    return set(source.splits), {found[1]}


def _as_named(source: HubSource, found: re.Match[str]) -> Pair:
    named = re.findall(r"\w+", found[1])
    return {name: source.splits.get(name) for name in named}, {name: name for name in named}


def _from(source: HubSource, found: re.Match[str]) -> Pair:
    return source.splits.get(found[2]), found[1]


def _all(source: HubSource, found: re.Match[str]) -> Pair:
    return dict(source.splits), {name: name for name in ("train", "validation", "test")}


def _all_but(source: HubSource, found: re.Match[str]) -> Pair:
    without = {found[2]} if source.name == found[1] else set()
    return set(source.splits), {"train", "validation", "test"} - without


def _evaluation_only(source: HubSource, found: re.Match[str]) -> Pair:
    return source.evaluation_only, True


def _default_shots(source: HubSource, found: re.Match[str]) -> Pair:
    return source.default_shots, int(found[1])


def _open_ended(source: HubSource, found: re.Match[str]) -> Pair:
    return source.styles, ("oe",)


STATEMENTS: tuple[tuple[str, Callable[[HubSource, re.Match[str]], Pair]], ...] = (
    (r"(\w+)=None", _absent),
    (r"hub (\w+) popped", _popped),
    (r"hub (\w+) popped -> k-shot (?:prompt )?source", _shots),
    (r"(\w+) is popped and only feeds the k-shot prompt", _shots),
    (r"prompt rows from (?!the same)(\w+)", _shots),
    (r"prompt rows from the same (?:\w+ )?split", _shots_of_its_own),
    (rf"only ({SPLIT})\b", _only),
    (rf"({SPLIT}(?:[,/] ?{SPLIT})*) as on hub", _as_named),
    (rf"(?:^|; )({SPLIT}(?:, ?{SPLIT})+)(?: returned)?;", _as_named),
    (rf"(\w+)->({SPLIT})\b", _from),
    (r"all (?:three )?hub splits", _all),
    (r"hub splits as they are \((\w+) has no (\w+)\)", _all_but),
    (r"EVAL_ONLY", _evaluation_only),
    (r"kshot default (\d+)", _default_shots),
    (r"oe only", _open_ended),
)
"""What the sentences of split_map say, and what of a declaration it is about."""


def compare_split_map(split_map: dict[str, str], names: Iterable[str], tally: Tally) -> None:
    """The sentences of split_map that are about splits and few-shot examples, for each source they are about."""
    known = list(names)
    for key, text in split_map.items():
        about = sources_of(key, known)
        if not about:
            tally.leave_out(NO_SOURCE)
        for name in about:
            source, n_before = hub_source(name), tally.compared
            sentence = re.sub(r"_rN\b", f"_{name.rpartition('_')[2]}", text)
            for pattern, reads in STATEMENTS:
                for found in re.finditer(pattern, sentence):
                    tally.compare(f"split_map/{name}: {found[0]!r}", *reads(source, found))
            if tally.compared == n_before:
                tally.differ(f"split_map/{name}: no sentence of {text!r} is understood", None)


def sources_of(key: str, names: Iterable[str]) -> list[str]:
    """The sources that a key of split_map stands for, such as ``cb/copa`` or ``mmlu:<task>``."""
    patterns = [re.escape(part.strip()).replace("<task>", r"\w+").replace("rN", r"r\d") for part in key.split("/")]
    return [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]
