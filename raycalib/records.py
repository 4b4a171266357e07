"""One record type per arrow of the pipeline, each a pyarrow schema: every record keeps the columns before it.

question ─generate▶ answer ─label▶ labelled answer ─evaluate▶ prediction
                       └─features▶ answer with features ──┘
"""

from typing import Any

import pyarrow as pa

Row = dict[str, Any]
"""One record as a plain mapping from column to value."""

PROMPT_STYLES = ("oe", "choice")

QUESTION_VERSION = 2
"""Goes up where a question's record gets another meaning; part of what the first stage, and so every one, is known by.
"""

QUESTION = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),  # hash of source, split, style and prompt
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("style", pa.string(), nullable=False),  # oe | choice
        pa.field("task", pa.string(), nullable=False),  # what figures are broken down by: a family, a dataset
        pa.field("group", pa.string(), nullable=False),  # questions of one group are resampled together
        pa.field("fresh_entity", pa.bool_(), nullable=False),  # the thing asked about occurs in no other split
        pa.field("prompt", pa.string(), nullable=False),  # few-shot header, may be empty
        pa.field("context", pa.string(), nullable=False),
        pa.field("target_prompt", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),  # the right answer, or the right option's letter
        pa.field("options", pa.list_(pa.string()), nullable=False),  # empty in the oe style
        pa.field("aliases", pa.list_(pa.string())),  # other right answers; null where there are none
        pa.field("solution", pa.string()),  # the right answer with its reasons, for a judge; null where it has none
    ]
)

ANSWER = pa.schema(
    [
        *QUESTION,
        pa.field("model", pa.string(), nullable=False),
        pa.field("output", pa.string(), nullable=False),  # as generated
        pa.field("answer", pa.string(), nullable=False),  # sanitized
        pa.field("n_answer_tokens", pa.int32(), nullable=False),
        pa.field("log_likelihood", pa.float64()),  # sum over the answer's tokens, nats
        pa.field("option_log_likelihoods", pa.list_(pa.float64()), nullable=False),  # empty in the oe style
        pa.field("finish_reason", pa.string(), nullable=False),  # stop | length | error
        pa.field("min_margin", pa.float64()),  # smallest distance of the two best logits; null where not known
        pa.field("n_cut", pa.int32(), nullable=False),  # tokens cut from the left, since the text was too long
        pa.field("error", pa.string()),
    ]
)

LABELLED = pa.schema(
    [
        *ANSWER,
        pa.field("query_label", pa.int8()),  # 1 correct, 0 not, null unscored
        pa.field("grader", pa.string(), nullable=False),
        pa.field("unscored_reason", pa.string()),
        pa.field("judge", pa.string()),  # its model as its server names it; null where no model was asked
        pa.field("judge_prompt", pa.string()),  # version of prompt and parser
        pa.field("judged_on", pa.string()),  # date of the reply, which may have been kept for long; null without one
        pa.field("verdict", pa.string()),  # the judge's reply as it came
        pa.field("retryable", pa.bool_(), nullable=False),  # unscored, and to be asked again by a later run
    ]
)

QUERY_LOGITS = (pa.field("logit_no", pa.float64()), pa.field("logit_yes", pa.float64()))

QUERY_CUT = pa.field("n_query_cut", pa.int32(), nullable=False)
"""Tokens cut from the left of the query, since it was too long."""

SCORED = pa.schema([*LABELLED, *QUERY_LOGITS, QUERY_CUT])
"""Labelled answers with the tuned model's query logits."""

FEATURES = pa.schema([*ANSWER, *QUERY_LOGITS, QUERY_CUT, pa.field("feature", pa.list_(pa.float32()))])
"""Answers with the base model's query logits and its last hidden state after the answer."""

PREDICTION = pa.schema(
    [
        *[
            LABELLED.field(name)
            for name in ("row_id", "split", "style", "task", "group", "fresh_entity", "model", "query_label")
        ],
        pa.field("method", pa.string(), nullable=False),
        pa.field("logit", pa.float64()),  # log-odds that the answer is correct; null where the method has none
        pa.field("p_correct", pa.float64()),  # in [0, 1]
    ]
)

ASKED = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),  # hash of file, place in it, question and options
        pa.field("number", pa.int64(), nullable=False),  # of the row in its file, from 1
        pa.field("question", pa.string(), nullable=False),
        pa.field("options", pa.list_(pa.string()), nullable=False),  # empty in the oe style
        pa.field("context", pa.string(), nullable=False),  # that the question is about; may be empty
        pa.field("error", pa.string()),  # why the row is no question
    ]
)
"""Questions that are only asked: nobody says what is right."""

TOLD = pa.schema(
    [
        *ASKED,
        pa.field("answer", pa.string(), nullable=False),
        pa.field("letter", pa.string(), nullable=False),  # of the chosen option; empty in the oe style
        pa.field("p_correct", pa.float64()),  # in [0, 1]; null where it is not known
        pa.field("reason", pa.string(), nullable=False),  # why it is not
        pa.field("method", pa.string(), nullable=False),
    ]
)
"""Questions with a calibrated model's answers."""
