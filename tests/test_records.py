from itertools import pairwise

import pyarrow as pa
import pytest

from raycalib.records import ANSWER, FEATURES, LABELLED, PREDICTION, PROMPT_STYLES, QUERY_LOGITS, QUESTION, SCORED

CHAINS = ((QUESTION, ANSWER, LABELLED), (QUESTION, ANSWER, FEATURES))
QUESTION_ROW = {
    "row_id": "r",
    "source": "facts",
    "split": "test",
    "style": "choice",
    "task": "sum_pair",
    "group": "g",
    "fresh_entity": False,
    "prompt": "",
    "context": "Question: 2 + 2?",
    "target_prompt": "\nAnswer:",
    "target": "a",
    "options": ["4", "5"],
    "aliases": None,
    "solution": None,
}


def test_each_record_keeps_the_columns_before_it() -> None:
    for before, after in [pair for chain in CHAINS for pair in pairwise(chain)]:
        assert after.names[: len(before.names)] == before.names
        assert len(after.names) > len(before.names)
        assert all(after.field(name).equals(before.field(name)) for name in before.names)


@pytest.mark.parametrize("schema", [QUESTION, ANSWER, LABELLED, FEATURES, PREDICTION])
def test_columns_are_named_once(schema: pa.Schema) -> None:
    assert len(set(schema.names)) == len(schema.names)


def test_a_prediction_keeps_what_figures_need() -> None:
    kept = {"row_id", "split", "style", "task", "group", "fresh_entity", "model", "query_label"}
    assert set(PREDICTION.names) == kept | {"method", "logit", "p_correct"}
    assert all(PREDICTION.field(name).equals(LABELLED.field(name)) for name in kept)


def test_what_may_be_missing() -> None:
    nullable = {schema: {field.name for field in schema if field.nullable} for schema in (LABELLED, FEATURES)}
    judged = {"judge", "judge_prompt", "judged_on", "verdict"}
    answered = {"aliases", "solution", "log_likelihood", "min_margin", "error"}
    assert nullable[LABELLED] == answered | {"query_label", "unscored_reason"} | judged
    assert nullable[FEATURES] == answered | {"logit_no", "logit_yes", "feature"}
    assert {field.name for field in PREDICTION if field.nullable} == {"query_label", "logit", "p_correct"}


def test_query_logits_are_the_features_own() -> None:
    assert [field.name for field in QUERY_LOGITS] == ["logit_no", "logit_yes"]
    assert all(schema.field(field.name).equals(field) for field in QUERY_LOGITS for schema in (FEATURES, SCORED))


def test_a_question_goes_through_its_schema_unchanged() -> None:
    assert pa.Table.from_pylist([QUESTION_ROW], schema=QUESTION).to_pylist() == [QUESTION_ROW]


def test_styles() -> None:
    assert PROMPT_STYLES == ("oe", "choice")
