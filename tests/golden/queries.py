"""The texts around an answer: the query, outputs that are sanitized and read back, grading, the judge's prompts."""

from pathlib import Path
from typing import Any

from raycalib.judging import SYSTEM_PROMPT, answer_key_prompt, grade, two_answers_prompt
from raycalib.prompts import Example, query_text, sanitize
from tests.golden.tally import Tally

EMPTY_ANSWER = "query: an empty answer leaves no space before the query (tests/prompts/test_query.py)"
CARRIAGE_RETURN = "sanitize: a carriage return at the end of the first line is stripped"
NO_TARGET = "substring: a question without a right answer is unscored, not right"
HONEST_ANSWER = "read back: None, nan, NA and the like stay the answers that they are"
ONE_STEP = "judge: a text that looks like another's place in the prompt stays a text"

EXPLAINED_QUERIES = {"leading and trailing  \nAnswer:": EMPTY_ANSWER}
EXPLAINED_OUTPUTS = {"first\r\nsecond": CARRIAGE_RETURN}
MISSING_VALUES = {"None", "nan", "NA", "null", "N/A", "n/a"}
NOT_TEXTS = ("about", "substring_rule", "empty_batch", "bad_strategy", "get_token_vec_on_tiny_tokenizer")
"""Of query.json: remarks, errors of the paper's code, and what is compared in ``compare_tokens``."""

NOT_BUILT = {"verbal_elicitation": "a probability asked for in words", "judge/parsing": "a judge's verdict"}
"""Of query.json: what raycalib does not do yet."""


def compare_queries(golden: dict[str, Any], tally: Tally) -> None:
    """Everything in query.json but what ``NOT_TEXTS`` and ``NOT_BUILT`` name."""
    comparisons = {
        "prepare_uncertainty_query": _uncertainty_queries,
        "lmtext_str": _joined_texts,
        "sanitize_generations": _sanitized,
        "substring_grading": _grades,
        "offline_reload": _read_back,
        "judge": _judge_prompts,
    }
    for name in golden.keys() - comparisons.keys() - {*NOT_TEXTS, *NOT_BUILT}:
        tally.differ(f"query.json/{name}: nothing compares it", None)
    for name, compare in comparisons.items():
        if name in golden:
            compare(golden[name], tally)
    for name, what in NOT_BUILT.items():
        if name.partition("/")[0] in golden:
            tally.differ(name, f"not compared: {what} ({name}) is no part of raycalib yet")


def compare_tokens(golden: dict[str, Any], model: Path, tally: Tally) -> None:
    """The tokens that a tokenizer with a BOS gives the labels of the query, and the letters of options."""
    tokens = golden.get("get_token_vec_on_tiny_tokenizer")
    if tokens is None or not model.is_dir():
        return
    from raycalib.lm.label_tokens import letter_tokens, query_label_tokens
    from raycalib.lm.loading import load_tokenizer
    from raycalib.lm.names import find_model

    tokenizer = load_tokenizer(find_model(str(model), None))
    tally.compare("query.json/tokens of i and ii", list(query_label_tokens(tokenizer)), tokens["roman_choice"])
    tally.compare("query.json/tokens of a to d", letter_tokens(tokenizer, "abcd"), tokens["choice"])


def _uncertainty_queries(golden: dict[str, Any], tally: Tally) -> None:
    columns = [golden[name] for name in ("inputs", "predictions", "contexts_str", "query_str")]
    for fields, prediction, text, query in zip(*columns, strict=True):
        example = _example(fields)
        tally.compare(f"query.json/context {text!r}", example.text(), text)
        where = f"query.json/query {text!r} {prediction!r}"
        tally.compare(where, query_text(example.text(), prediction), query, EXPLAINED_QUERIES.get(text))


def _joined_texts(golden: list[dict[str, Any]], tally: Tally) -> None:
    for joined in golden:
        example = _example(joined["in"])
        tally.compare(f"query.json/text {joined['in']}", example.answered(example.target), joined["str"])


def _sanitized(golden: list[dict[str, Any]], tally: Tally) -> None:
    for case in golden:
        output = case["in"]
        expected = case["out_when_reloaded_by_get_offline(strip first)"]
        tally.compare(f"query.json/sanitize {output!r}", sanitize(output), expected, EXPLAINED_OUTPUTS.get(output))


def _grades(golden: list[dict[str, Any]], tally: Tally) -> None:
    for case in golden:
        target, prediction = case["target"], case["prediction"]
        ours = grade(target, prediction, "oe", "substring").query_label
        reason = None if target.strip() else NO_TARGET
        tally.compare(f"query.json/substring {target!r} {prediction!r}", ours, case["label"], reason)


def _read_back(golden: dict[str, Any], tally: Tally) -> None:
    for row in golden["rows"]:
        output = row["csv_output"]
        reason = HONEST_ANSWER if output in MISSING_VALUES else None
        tally.compare(f"query.json/read back {output!r}", sanitize(output), row["loaded_output"], reason)


def _judge_prompts(golden: dict[str, Any], tally: Tally) -> None:
    tally.compare("query.json/judge system prompt", SYSTEM_PROMPT, golden["system_prompt"])
    for case in golden["examples"]:
        texts = case["question"], case["ground_truth"], case["prediction"]
        reason = ONE_STEP if any("<" in text for text in texts) else None
        for name, prompt in (("answer-key", answer_key_prompt(*texts)), ("two-answers", two_answers_prompt(*texts))):
            tally.compare(f"query.json/judge {name} {texts}", prompt, case[name]["prompt"], reason)


def _example(fields: dict[str, Any]) -> Example:
    known = {name: fields[name] for name in ("context", "target", "target_prompt", "prompt") if name in fields}
    return Example(**{"target": "", "target_prompt": "", **known})
