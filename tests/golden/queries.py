"""The texts around an answer: the query, outputs that are sanitized and read back, grading, the judge's prompts."""

from pathlib import Path
from typing import Any

from raycalib.judging import SYSTEM_PROMPT, answer_key_prompt, grade, parse_verdict, two_answers_prompt
from raycalib.prompts import Example, query_text, sanitize
from tests.golden.tally import Tally

EMPTY_ANSWER = "query: an empty answer leaves no space before the query (tests/prompts/test_query.py)"
CARRIAGE_RETURN = "sanitize: a carriage return at the end of the first line is stripped"
NO_TARGET = "substring: a question without a right answer is unscored, not right"
HONEST_ANSWER = "read back: None, nan, NA and the like stay the answers that they are"
FIRST_WORD = "judge: only the whole first word is a verdict; another one, or none, is unscored, not right or wrong"
ONE_STEP = "judge: a text that looks like another's place in the prompt stays a text"

EXPLAINED_QUERIES = {"leading and trailing  \nAnswer:": EMPTY_ANSWER}
EXPLAINED_OUTPUTS = {"first\r\nsecond": CARRIAGE_RETURN}
MISSING_VALUES = {"None", "nan", "NA", "null", "N/A", "n/a"}

REMARKS = "query.json: remarks on how the file was made"
OTHER_CODE = "query.json: exceptions and types of the paper's code"
VERBAL = "query.json: a probability asked for in words is no part of raycalib yet"
VERDICTS = "query.json: the judge that the paper asked, and rules in words beside the cases that are compared"
GIVEN_LABELS = "query.json: labels that the paper's loader is given and hands on; raycalib grades or leaves unscored"
UNSTRIPPED = "query.json: outputs sanitized without the strip of the paper's reader; raycalib always strips"
FROM_FILES = "query.json: rows drawn and columns kept by the paper's reader of csv files of answers"
NO_TOKENIZER = "query.json: tokens, since tiny_llama is not beside the file"

TOKENS = "get_token_vec_on_tiny_tokenizer"
LEFT_OUT = {
    "about": REMARKS,
    "substring_rule": REMARKS,
    "empty_batch": OTHER_CODE,
    "bad_strategy": OTHER_CODE,
    "verbal_elicitation": VERBAL,
}
QUERY_LEFT_OUT = {
    "note": REMARKS,
    "token_meaning": REMARKS,
    "labels_dtype": OTHER_CODE,
    "given_labels_out": GIVEN_LABELS,
    "labels_as_0d_tensors_out": GIVEN_LABELS,
}
QUERY_READ = {"inputs", "targets", "predictions", "contexts_str", "query_inputs", "query_str", "substring_labels"}
SANITIZED = "out_when_reloaded_by_get_offline(strip first)"
SANITIZED_LEFT_OUT = {"out": UNSTRIPPED, "newline_strip": UNSTRIPPED}
TEMPLATES = {"template_answer_key", "template_two_answers"}
JUDGE_LEFT_OUT = {"parsing_rule": VERDICTS, "strategy_name_rule": VERDICTS}
PROMPT_LEFT_OUT = {"model": VERDICTS, "label_for_'Yes.'": VERDICTS}
JUDGE_PROMPTS = {
    "answer-key": answer_key_prompt,
    "two-answers": two_answers_prompt,
    "via_equivalency_grading": two_answers_prompt,
    "via_clustering_equivalency_with_oracle": two_answers_prompt,
    "via_prepare_uncertainty_query": answer_key_prompt,
}
"""How the paper's code comes to ask a judge, and which of raycalib's prompts that is."""

OTHER_FIRST_WORDS = {
    "Not yes", "eyes", "", "No, yes would be wrong", "yep", "Y", "The answer is Yes", "yesterday", "ye s",
}  # fmt: skip


def compare_queries(golden: dict[str, Any], tally: Tally) -> None:
    """Everything in query.json but tokens and what is counted as not compared."""
    comparisons = {
        "prepare_uncertainty_query": _uncertainty_queries,
        "lmtext_str": _joined_texts,
        "sanitize_generations": _sanitized,
        "substring_grading": _grades,
        "offline_reload": _read_back,
        "judge": _judge_prompts,
    }
    tally.account("query.json", golden, {*comparisons, TOKENS}, LEFT_OUT)
    for name, compare in comparisons.items():
        if name in golden:
            compare(golden[name], tally)


def compare_tokens(golden: dict[str, Any], model: Path, tally: Tally) -> None:
    """The tokens that a tokenizer with a BOS gives the labels of the query, and the letters of options."""
    tokens = golden.get(TOKENS)
    if tokens is None:
        return
    if not model.is_dir():
        tally.leave_out(NO_TOKENIZER, len(tokens))
        return
    from raycalib.lm.label_tokens import letter_tokens, query_label_tokens
    from raycalib.lm.loading import load_tokenizer
    from raycalib.lm.names import find_model

    tokenizer = load_tokenizer(find_model(str(model), None))
    labels = list(query_label_tokens(tokenizer))
    tally.account(f"query.json/{TOKENS}", tokens, ("roman_choice", "choice", "alpha_choice"), {"bool": OTHER_CODE})
    tally.compare("query.json/tokens of i and ii", labels, tokens["roman_choice"])
    tally.compare("query.json/tokens of a to d", letter_tokens(tokenizer, "abcd"), tokens["choice"])
    tally.compare("query.json/tokens of a and b", letter_tokens(tokenizer, "ab"), tokens["alpha_choice"])
    tally.compare("query.json/tokens of a query", labels, golden["prepare_uncertainty_query"]["query_token_vec"])


def _uncertainty_queries(golden: dict[str, Any], tally: Tally) -> None:
    tally.account("query.json/prepare_uncertainty_query", golden, {*QUERY_READ, "query_token_vec"}, QUERY_LEFT_OUT)
    columns = ("inputs", "targets", "predictions", "contexts_str", "query_inputs", "query_str", "substring_labels")
    rows = zip(*(golden[name] for name in columns), strict=True)
    for fields, target, prediction, text, query_fields, query, label in rows:
        example, where = _example(fields), f"query.json/query {text!r} {prediction!r}"
        tally.compare(f"query.json/context {text!r}", example.text(), text)
        ours, reason = query_text(example.text(), prediction), EXPLAINED_QUERIES.get(text)
        tally.compare(where, ours, query, reason)
        tally.compare(f"{where} in parts", ours, query_fields["context"] + query_fields["target_prompt"], reason)
        _compare_grade(target, prediction, label, tally)


def _joined_texts(golden: list[dict[str, Any]], tally: Tally) -> None:
    for joined in golden:
        example = _example(joined["in"])
        tally.compare(f"query.json/text {joined['in']}", example.answered(example.target), joined["str"])


def _sanitized(golden: list[dict[str, Any]], tally: Tally) -> None:
    for case in golden:
        output = case["in"]
        tally.account("query.json/sanitize_generations", case, ("in", SANITIZED), SANITIZED_LEFT_OUT)
        ours, reason = sanitize(output), EXPLAINED_OUTPUTS.get(output)
        tally.compare(f"query.json/sanitize {output!r}", ours, case[SANITIZED], reason)


def _grades(golden: list[dict[str, Any]], tally: Tally) -> None:
    for case in golden:
        _compare_grade(case["target"], case["prediction"], case["label"], tally)


def _compare_grade(target: str, prediction: str, label: int, tally: Tally) -> None:
    ours = grade(target, prediction, "oe", "substring").query_label
    reason = None if target.strip() else NO_TARGET
    tally.compare(f"query.json/substring {target!r} {prediction!r}", ours, label, reason)


def _read_back(golden: dict[str, Any], tally: Tally) -> None:
    unread = ("prompt_kept_with_train_kshot_1", "offline_sm_first_contexts", "offline_sm_rule")
    tally.account(
        "query.json/offline_reload", golden, ("rows",), {"about": REMARKS, **dict.fromkeys(unread, FROM_FILES)}
    )
    for row in golden["rows"]:
        output = row["csv_output"]
        reason = HONEST_ANSWER if output in MISSING_VALUES else None
        left_out = dict.fromkeys(("loaded_target", "has_prompt"), FROM_FILES)
        tally.account("query.json/offline_reload/rows", row, ("csv_output", "loaded_output"), left_out)
        tally.compare(f"query.json/read back {output!r}", sanitize(output), row["loaded_output"], reason)


def _judge_prompts(golden: dict[str, Any], tally: Tally) -> None:
    tally.account("query.json/judge", golden, {"system_prompt", "examples", "parsing", *TEMPLATES}, JUDGE_LEFT_OUT)
    tally.compare("query.json/judge system prompt", SYSTEM_PROMPT, golden["system_prompt"])
    keyed = answer_key_prompt("<question>", "<ground-truth>", "<prediction>")
    both = two_answers_prompt("<question>", "<prediction-a>", "<prediction-b>")
    tally.compare("query.json/judge template answer-key", keyed, golden["template_answer_key"])
    tally.compare("query.json/judge template two-answers", both, golden["template_two_answers"])
    for case in golden["examples"]:
        texts = case["question"], case["ground_truth"], case["prediction"]
        tally.account("query.json/judge/examples", case, {"question", "ground_truth", "prediction", *JUDGE_PROMPTS}, {})
        reason = ONE_STEP if any("<" in text for text in texts) else None
        for name, prompt in JUDGE_PROMPTS.items():
            where = f"query.json/judge {name} {texts}"
            tally.account(where, case[name], ("system_prompt", "prompt"), PROMPT_LEFT_OUT)
            tally.compare(f"{where}: system prompt", SYSTEM_PROMPT, case[name]["system_prompt"])
            tally.compare(where, prompt(*texts), case[name]["prompt"], reason)
    _verdicts(golden.get("parsing", []), tally)


def _verdicts(golden: list[dict[str, Any]], tally: Tally) -> None:
    """The paper's rule: right where "yes" occurs anywhere in the reply, else wrong."""
    for case in golden:
        reply, ours = case["answer"], parse_verdict(case["answer"]).query_label
        reason = FIRST_WORD if reply in OTHER_FIRST_WORDS else None
        tally.compare(f"query.json/verdict {reply!r}", ours, int(case["label"]), reason)


def _example(fields: dict[str, Any]) -> Example:
    known = {name: fields[name] for name in ("context", "target", "target_prompt", "prompt") if name in fields}
    return Example(**{"target": "", "target_prompt": "", **known})
