"""Several judges on the same answers: how far they agree and where they do not; and one judge against a person."""

from collections.abc import Iterator, Mapping
from itertools import combinations
import json
import math
from typing import Any

from raycalib.judging.agreement import agreement
from raycalib.judging.judge_quality import Share, judge_quality
from raycalib.records import Row
from raycalib.secrets import hide_all
from raycalib.stages.labels.judged_by import describe_judge
from raycalib.stages.output import StageOutput
from raycalib.storage import Location

SAID = ("verdict", "unscored_reason", "judge", "judge_prompt", "judged_on")
SHOWN = ("row_id", "context", "target", "answer", "query_label", *SAID)
"""Columns of the rows that are listed."""

AGREEMENT_NAME, DISAGREEMENTS_NAME, QUALITY_NAME = "agreement.json", "disagreements.jsonl", "judge_quality.json"


def compare_judges(labelled: Mapping[str, StageOutput], out: Location) -> list[dict[str, Any]]:
    """Writes the agreement of each pair and the rows on which any two disagree; returns the agreements.

    Args:
        labelled: by judge, all of the same answers.
        out: where ``agreement.json`` and ``disagreements.jsonl`` go.
    """
    labels = {name: [row["query_label"] for row in output.rows(["query_label"])] for name, output in labelled.items()}
    found = []
    for first, second in combinations(labelled, 2):
        figures = agreement(labels[first], labels[second])
        found.append(
            {
                "first": describe_judge(first, [labelled[first]]),
                "second": describe_judge(second, [labelled[second]]),
                "n": figures.n,
                "n_unscored": figures.n_unscored,
                "observed": _or_none(figures.observed),
                "kappa": _or_none(figures.kappa),
            }
        )
    out.write_json(AGREEMENT_NAME, found)
    with out.writing(DISAGREEMENTS_NAME) as file:
        for row in _disagreements({name: output.rows(SHOWN) for name, output in labelled.items()}):
            file.write(f"{json.dumps(hide_all(row), ensure_ascii=False)}\n".encode("utf-8", "replace"))
    return found


def _disagreements(rows: Mapping[str, Iterator[Row]]) -> Iterator[dict[str, Any]]:
    for together in zip(*rows.values(), strict=True):
        labels = {row["query_label"] for row in together} - {None}
        if len(labels) > 1:
            row = together[0]
            said = {
                name: {"label": of["query_label"], **{column: of[column] for column in SAID}}
                for name, of in zip(rows, together, strict=True)
            }
            texts = {"question": row["context"], "target": row["target"], "answer": row["answer"]}
            yield {"row_id": row["row_id"], **texts, "judges": said}


def check_judge(name: str, labelled: StageOutput, truth: list[int], out: Location) -> dict[str, Any]:
    """Writes and returns how good a judge is on rows that a person labelled.

    Args:
        name: of the judge.
        labelled: its labels.
        truth: the person's, of the same rows.
        out: where ``judge_quality.json`` goes.
    """
    verdicts = [row["query_label"] for row in labelled.rows(["query_label"])]
    quality = judge_quality(truth, verdicts)
    scored = [verdict for verdict in verdicts if verdict is not None]
    observed = sum(scored) / len(scored) if scored else math.nan
    found = {
        "judge": describe_judge(name, [labelled]),
        "n": len(truth),
        "n_unscored": quality.n_unscored,
        "sensitivity": _share(quality.sensitivity),
        "specificity": _share(quality.specificity),
        "accuracy_by_person": sum(truth) / len(truth),
        "accuracy_by_judge": _or_none(observed),
    }
    out.write_json(QUALITY_NAME, found)
    return found


def _share(share: Share) -> dict[str, Any]:
    return {name: _or_none(value) for name, value in share._asdict().items()}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
