import copy
import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.sources.hub import hub_source, mixture_sources
from tests.golden.compare import main
from tests.golden.losses import NO_MODEL
from tests.golden.mixture import ALL_VALIDATE, HASH_ORDER, NO_ROWS, REDISTRIBUTED
from tests.golden.queries import CARRIAGE_RETURN
from tests.golden.texts import DRAWN_ANSWERS, OWN_SHOT

CHOICE = "Question:\nHow tall is the mast ?\n\nChoices:\n" + "\n".join(
    f"  ({letter}): {category}"
    for letter, category in zip(
        "abcdef",
        ["Abbreviation", "Entity", "Description and abstract concept", "Human being", "Location", "Numeric value"],
        strict=True,
    )
)
INTRO = "The following are questions with multiple-choice answers."
SHOT = {
    "context": CHOICE,
    "target_prompt": "\nAnswer:",
    "target": "f",
    "prompt": f"{INTRO}\n\n{CHOICE}\nAnswer: f\n\nNow, answer the next question.\n\n",
}
PLAIN = {**SHOT, "prompt": "", "str": f"{CHOICE}\nAnswer: f"}
PROMPTS: dict[str, Any] = {
    "seed": 3,
    "split_map": {"trec": "train, test; validation=None; prompt rows from train."},
    "datasets": {
        "trec": {
            "kshot_defaults": {"with_query_label": False, "train_kshot": 0, "eval_kshot": 0},
            "train_kshot_supported": True,
            "hub_splits": ["train", "test"],
            "registered": {"trec": {"load_dataset_args": ["trec"], "attrs": {}, "eval_only": False}},
            "hub_rows": {
                "train": [{"text": "How tall is the mast ?", "coarse_label": 5}, {"text": "Why ?", "coarse_label": -1}],
                "test": [],
            },
            "styles": {
                "choice": {
                    "format_sample": [
                        {"split": "train", "i": 0, "context": CHOICE, "target": "f"},
                        {"split": "train", "i": 1, "context": "Why ?", "target": "z"},
                    ],
                    "e2e": {
                        "trec": {
                            "0": {"train": {"n": 1, "rows": [PLAIN]}, "validation": None, "test": {"n": 0, "rows": []}},
                            "1": {"train": {"n": 1, "rows": [SHOT]}, "validation": None, "test": {"n": 0, "rows": []}},
                            "with_query_label": {
                                "train": {"n": 1, "rows": [{"target": "f", "output": "a", "query_label": 0}]},
                                "validation": None,
                                "test": {"n": 0, "rows": []},
                            },
                        }
                    },
                }
            },
        }
    },
}
ASKED = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes"
OUT = "out_when_reloaded_by_get_offline(strip first)"
QUERY: dict[str, Any] = {
    "prepare_uncertainty_query": {
        "inputs": [{"context": "q", "target_prompt": "\nA:"}],
        "targets": ["t"],
        "predictions": ["t"],
        "contexts_str": ["q\nA:"],
        "query_inputs": [{"context": f"q\nA: t{ASKED}", "target_prompt": "\nAnswer:"}],
        "query_str": [f"q\nA: t{ASKED}\nAnswer:"],
        "substring_labels": [1],
    },
    "lmtext_str": [{"in": {"context": "q", "target": "t"}, "str": "q t"}],
    "sanitize_generations": [{"in": "one\ntwo", OUT: "one"}, {"in": "first\r\nsecond", OUT: "first\r"}],
}


NAMES = [source.name for source in mixture_sources("choice")]
TRAIN = {name: 3 for name in NAMES if "train" in hub_source(name).splits}
VALIDATION = {name: 3 for name in NAMES if "validation" in hub_source(name).splits}
SPLIT_SIZES = {
    name: [3 if split in hub_source(name).splits else None for split in ("train", "validation", "test")]
    for name in NAMES
}
ARITHMETIC = {
    "datasets_with_train": len(TRAIN),
    "quota": 3,
    "total_train": 3 * len(TRAIN),
    "selected_train": dict.fromkeys(TRAIN, 3),
    "val_[dataset,proportional_n,n_inside_first_2000]": [[name, 3, 3] for name in VALIDATION],
}
MIXTURE: dict[str, Any] = {
    "rules": {"defaults": {"max_n": 20_000, "max_val_n": 2_000}},
    "np_choice_probe": {"12": [2, 9, 4, 10, 5, 7, 11, 8, 1, 0, 3, 6]},
    "choice_order": NAMES,
    "oe_sorted": [name for name in NAMES if name != "hellaswag"],
    "oe_order_by_PYTHONHASHSEED": {"0": [[name for name in reversed(NAMES) if name != "hellaswag"]]},
    "runs": [
        {
            "prompt_style": "choice",
            "max_n": 47,
            "max_val_n": 2,
            "dataset_order": NAMES,
            "sizes_after_loader": SPLIT_SIZES,
            "train_n": 2 * len(TRAIN),
            "val_n": 2,
            "val_row_context_sha": ["0" * 12, "1" * 12],
            "train_rows_by_dataset": {name: 2 if name in TRAIN else 0 for name in NAMES},
            "train_trace_first_index_per_dataset": {name: [0, 1] if name in TRAIN else [] for name in NAMES},
            "val_trace_[dataset,index]": [["arc", 1], ["arc", 0]],  # RandomState(137).permutation(2) is 1, 0
        }
    ],
    "hub_arithmetic": {
        "train_sizes_used": TRAIN,
        "val_sizes_used": VALIDATION,
        "choice": ARITHMETIC,
        "oe_sorted_order": {
            "datasets_with_train": len(TRAIN) - 1,
            "quota": 3,
            "total_train": 3 * (len(TRAIN) - 1),
            "selected_train": {name: 3 for name in TRAIN if name != "hellaswag"},
            "val_[dataset,proportional_n,n_inside_first_2000]": [[n, 3, 3] for n in VALIDATION if n != "hellaswag"],
        },
    },
}


def run(
    directory: Path, prompts: dict[str, Any], capsys: pytest.CaptureFixture[str], mixture: dict[str, Any] = MIXTURE
) -> tuple[int, list[str]]:
    (directory / "prompts.json").write_text(json.dumps(prompts))
    (directory / "query.json").write_text(json.dumps(QUERY))
    (directory / "mixture.json").write_text(json.dumps(mixture))
    (directory / "losses.json").write_text(json.dumps({"about": "made by a test", "results": []}))
    code = main([str(directory)])
    return code, capsys.readouterr().out.splitlines()


def test_equal_texts_and_explained_ones_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(tmp_path, PROMPTS, capsys)
    assert code == 0
    last = json.loads(lines[-1])
    assert (last["bench"], last["different"]) == ("golden", 0)
    assert last["compared"] > 20
    assert any(line.endswith(OWN_SHOT) for line in lines)
    for reason in (CARRIAGE_RETURN, HASH_ORDER, REDISTRIBUTED, ALL_VALIDATE):
        assert any(line.startswith("explained: ") and line.endswith(reason) for line in lines)
    for count, reason in ((2, NO_ROWS), (2, DRAWN_ANSWERS), (2, NO_MODEL)):
        assert f"not compared: {count} values: {reason}" in lines
    explained = sum(int(line.split()[1]) for line in lines if line.startswith("explained: "))
    not_compared = sum(int(line.split()[2]) for line in lines if line.startswith("not compared: "))
    assert (last["explained"], last["not_compared"]) == (explained, not_compared)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"target": "e"}, "trec/choice/k/0/train/0/target: raycalib 'f', golden 'e'"),
        ({"context": "other"}, "trec/choice/k/0/train/0/context"),
        ({"str_sha256": "0"}, "trec/choice/k/0/train/0/str_sha256"),
    ],
)
def test_a_difference_is_printed_and_counted(
    change: dict[str, str], where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = copy.deepcopy(PROMPTS)
    prompts["datasets"]["trec"]["styles"]["choice"]["e2e"]["trec"]["0"]["train"]["rows"][0].update(change)
    code, lines = run(tmp_path, prompts, capsys)
    assert code == 1
    assert any(line.startswith(where) for line in lines)
    assert json.loads(lines[-1])["different"] == 2  # read as raycalib does, and as the paper does


def test_a_wrong_count_of_rows_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = copy.deepcopy(PROMPTS)
    prompts["datasets"]["trec"]["styles"]["choice"]["e2e"]["trec"]["0"]["test"]["n"] = 1
    code, lines = run(tmp_path, prompts, capsys)
    assert code == 1
    assert "trec/choice/k/0/test: rows: raycalib 0, golden 1" in lines


def test_a_refusal_of_a_row_that_the_paper_delivers_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = copy.deepcopy(PROMPTS)
    prompts["datasets"]["trec"]["styles"]["choice"]["format_sample"][1]["context"] = CHOICE
    code, lines = run(tmp_path, prompts, capsys)
    assert code == 1
    assert any("refused ('coarse_label' is -1: the row has no label)" in line for line in lines)


SHOT_ROWS = ("datasets", "trec", "styles", "choice", "e2e", "trec", "1", "train", "rows")
LABELLED_ROWS = ("datasets", "trec", "styles", "choice", "e2e", "trec", "with_query_label", "train", "rows")


@pytest.mark.parametrize(
    ("place", "value", "where"),
    [
        (("new",), 1, "prompts.json/new: nothing compares it"),
        (("datasets", "trec", "new"), 1, "trec/new: nothing compares it"),
        ((*LABELLED_ROWS, 0, "new"), 1, "trec/choice/paper_exact/k/with_query_label/train/0/new: nothing compares it"),
        ((*LABELLED_ROWS, 0, "target"), "a", "trec/choice/k/with_query_label/train/0/target"),
        (("split_map", "trec"), "validation=None; prompt rows from test.", "split_map/trec: 'prompt rows from test'"),
        (("split_map", "trec"), "who knows", "split_map/trec: no sentence"),
        (("datasets", "trec", "kshot_defaults", "eval_kshot"), 4, "trec/declared/shots in test"),
        (("datasets", "trec", "train_kshot_supported"), False, "trec/declared/may train"),
        (("datasets", "trec", "hub_splits"), ["train"], "trec/declared/hub splits that are not there"),
        # The row is its own example here, which explains the prompt and nothing else.
        ((*SHOT_ROWS, 0, "context"), "other", "trec/choice/k/1/train/0/context"),
        ((*SHOT_ROWS, 0, "target"), "e", "trec/choice/k/1/train/0/target"),
    ],
)
def test_a_difference_of_the_prompts_is_printed(
    place: tuple[Any, ...], value: object, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = copy.deepcopy(PROMPTS)
    part = prompts
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    code, lines = run(tmp_path, prompts, capsys)
    assert code == 1
    assert any(line.startswith(where) for line in lines)


def test_without_golden_files_it_says_what_to_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "give the directory that holds prompts.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "where"),
    [
        (("choice_order",), NAMES[::-1], "mixture.json/choice_order"),
        (("runs", 0, "train_rows_by_dataset", "arc"), 3, "mixture.json/runs/0/paper_exact/train"),
        (("runs", 0, "val_trace_[dataset,index]"), [["arc", 0], ["arc", 1]], "mixture.json/runs/0/paper_exact/valid"),
        (("runs", 0, "train_n"), 41, "mixture.json/runs/0/paper_exact/train_n"),
        (("runs", 0, "val_n"), 3, "mixture.json/runs/0/paper_exact/val_n"),
        (("hub_arithmetic", "choice", "quota"), 4, "mixture.json/hub_arithmetic/choice/paper_exact/quota"),
        (("hub_arithmetic", "choice", "total_train"), 4, "mixture.json/hub_arithmetic/choice/paper_exact/total_train"),
        (("hub_arithmetic", "choice", "selected_train", "cb"), 2, "mixture.json/hub_arithmetic/choice/paper_exact"),
    ],
)
def test_a_difference_of_the_mixture_is_printed(
    place: tuple[Any, ...], value: object, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixture = copy.deepcopy(MIXTURE)
    part = mixture
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    code, lines = run(tmp_path, PROMPTS, capsys, mixture)
    assert code == 1
    assert any(line.startswith(where) for line in lines)
