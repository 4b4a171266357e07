"""What surrounds a verdict without changing it: end-of-text tokens, a finished think block, a fence, a label, JSON."""

import json
import re
from typing import Any, NamedTuple

END_TOKENS = (
    "</s>", "<s>", "<eos>", "<end_of_turn>", "<end_of_utterance>", "<pad>", "[/INST]", "[|endofturn|]",
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|return|>",
    "<|END_OF_TURN_TOKEN|>", "<|endofturn|>", "<|end▁of▁sentence|>", "<|end_of_sentence|>", "<|user|>", "<|EOT|>",
)  # fmt: skip
"""Of the usual families of models; full-width bars are plain ones by then."""

MOST_OF_END = max(map(len, END_TOKENS))

_ENDS = tuple(token.casefold() for token in END_TOKENS)
THINK_OPEN = re.compile(
    r"<(think|thinking|thought|reasoning)>|\[THINK\]|<\|channel\|>analysis<\|message\|>", re.IGNORECASE
)
THINK_CLOSE = re.compile(
    r"</(think|thinking|thought|reasoning)>|\[/THINK\]|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
FENCE, INFO = "```", re.compile(r"[a-z]*\s*\n", re.IGNORECASE)
NAMES = (
    "answer",
    "verdict",
    "result",
    "judgement",
    "judgment",
    "decision",
    "grade",
    "conclusion",
    "response",
    "output",
)
LABEL = re.compile(
    rf"[\s*_#`]*(?:(?:my|the|final)\s+)*(?:{'|'.join(NAMES)})[*_` ]*(?::|=|->|→)[*_`]*\s*", re.IGNORECASE
)
TAG = re.compile(rf"<({'|'.join(NAMES)})>(.*)</\1>", re.IGNORECASE | re.DOTALL)
BOXED = re.compile(r"\$*\\boxed\{(?:\\text\{)?([a-z]+)\}?\}\$*\.?", re.IGNORECASE)

VERDICT_FIELDS = {*NAMES, "correct", "is_correct", "equivalent", "is_equivalent", "match"}
OTHER_FIELDS = {
    "confidence", "certainty", "probability",
    "why", "reason", "reasoning", "explanation", "rationale", "justification", "comment", "analysis", "thought",
}  # fmt: skip
"""How sure it is, and why: in prose or numbers of their own, in which "no" or 0 is no verdict."""

TRUTHS = {
    **dict.fromkeys(("yes", "true", "1", "1.0", "correct", "right"), "yes"),
    **dict.fromkeys(("no", "false", "0", "0.0", "incorrect", "wrong"), "no"),
}
QUESTION_FIELDS = {"question", "right_answer", "proposed_answer", "target", "prediction"}
"""An object with one of these is what the judge was shown, said again."""


class Unwrapped(NamedTuple):
    """What is left, or why nothing can be."""

    text: str
    problem: str = ""


def unwrapped(text: str) -> Unwrapped:
    """The reply without what surrounds it.

    >>> unwrapped("Yes<|im_end|>"), unwrapped("**Verdict:** no").text, unwrapped("<think>Hm").problem
    (Unwrapped(text='Yes', problem=''), 'no', "the judge's reply ends before its thinking does")
    """
    text = _without_ends(text)
    thought = _behind_thought(text)
    if thought.problem:
        return thought
    text = _without_fence(_without_ends(thought.text))
    if text.startswith("{") and (said := _object(text)) is not None:
        return _field(said)
    if framed := TAG.fullmatch(text):
        text = framed[2].strip()
    elif framed := BOXED.fullmatch(text):
        text = framed[1]
    else:
        text = without_label(text)
    return Unwrapped(text) if text else Unwrapped("", "the judge's reply has no verdict behind its thinking")


def without_label(text: str) -> str:
    """The text behind a label that it begins with; the text itself where there is none."""
    found = LABEL.match(text)
    return text[found.end() :] if found else text


def _without_ends(text: str) -> str:
    """Without the end-of-text tokens that it ends with."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        last = text[max(0, end - MOST_OF_END) : end].casefold()
        taken = max((len(token) for token in _ENDS if last.endswith(token)), default=0)
        if not taken:
            return text[:end].strip()
        end -= taken


def _without_fence(text: str) -> str:
    """What stands in the one fence around a text, such as ``json``."""
    if text.startswith(FENCE) and text.endswith(FENCE) and text.count(FENCE) == 2:
        inner = text[len(FENCE) : -len(FENCE)]
        if info := INFO.match(inner):
            return inner[info.end() :].strip()
    return text


def _behind_thought(text: str) -> Unwrapped:
    """What follows the one think block that a reply begins with; templates may have opened it in the prompt."""
    opened, closed = list(THINK_OPEN.finditer(text)), list(THINK_CLOSE.finditer(text))
    if not opened and not closed:
        return Unwrapped(text)
    if not closed:
        return Unwrapped("", "the judge's reply ends before its thinking does") if _begins(text) else Unwrapped(text)
    if len(closed) > 1 or len(opened) > 1 or (opened and not _begins(text)):
        return Unwrapped("", "the judge's reply has several think blocks, or one in its middle")
    rest = text[closed[0].end() :].strip()
    return Unwrapped(rest) if rest else Unwrapped("", "the judge's reply has no verdict behind its thinking")


def _begins(text: str) -> bool:
    return THINK_OPEN.match(text.lstrip()) is not None


def _object(text: str) -> list[tuple[str, Any]] | None:
    """The fields of a JSON object, repeated ones too; None where it is none."""
    try:
        found = json.loads(
            text, object_pairs_hook=lambda pairs: [(str(name).casefold(), value) for name, value in pairs]
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _field(fields: list[tuple[str, Any]]) -> Unwrapped:
    """The one verdict of an object."""
    said = {_word(value) for name, value in fields if name in VERDICT_FIELDS}
    others = {_truth(value) for name, value in fields if name not in VERDICT_FIELDS | OTHER_FIELDS} - {""}
    if len(said) == 1 and (word := said.pop()) and not QUESTION_FIELDS.intersection(name for name, _ in fields):
        if others - {word}:
            return Unwrapped("", f"the judge's reply is JSON that says {word} and, in another field, the opposite")
        return Unwrapped(word)
    return Unwrapped("", "the judge's reply is JSON without one field that is yes or no")


def _truth(value: Any) -> str:
    """What a field says that is not named like a verdict, such as a score; empty where that is neither yes nor no."""
    text = str(value).strip().rstrip(".!").casefold()
    return TRUTHS.get(text, "")


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    word = value.strip().rstrip(".!").casefold() if isinstance(value, str) else ""
    return word if word in ("yes", "no") else ""
