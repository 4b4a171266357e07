"""Says before anything is generated which right answers no answer can equal, and stops where these are nearly all."""

from collections.abc import Callable, Sequence
from itertools import islice

from raycalib.errors import DataError
from raycalib.lm.loading import load_tokenizer
from raycalib.lm.names import ModelSource
from raycalib.records import Row
from raycalib.sources.unmet import LINES, LONG, UnmetTargets, cause_of, right_texts
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput

COLUMNS = ("source", "style", "target", "aliases")
COUNTED_LONG = 20_000
"""At most so many of the long right answers are counted in tokens."""

AT_ONCE = 512

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""From texts to how many tokens each has."""


def check_targets(
    questions: Sequence[StageOutput], max_new_tokens: int, tokenizers: Sequence[Callable[[], CountTokens]]
) -> None:
    """Says what is wrong with the open-ended right answers, a line for each source and cause.

    Args:
        questions: question records, of one or more outputs.
        max_new_tokens: of an answer.
        tokenizers: of the models that answer, each loaded only where a right answer may be too long.

    Raises:
        DataError: of a source nearly every right answer has several lines or is too long.
    """
    found = UnmetTargets()
    maybe_long: list[Row] = []
    for row in (row for output in questions for row in output.rows(COLUMNS)):
        found.add(row)
        if _may_be_long(row, max_new_tokens) and len(maybe_long) < COUNTED_LONG:
            maybe_long.append(row)
    for load in tokenizers if maybe_long else ():
        fits = _fits(maybe_long, max_new_tokens, load())
        for row, does_fit in zip(maybe_long, fits, strict=True):
            if not does_fit:
                found.note(row, LONG)
        maybe_long = [row for row, does_fit in zip(maybe_long, fits, strict=True) if does_fit]
    if fatal := found.fatal():
        raise DataError(f"source: {'; '.join(fatal)}")
    for line in found.lines():
        say(line)


def _may_be_long(row: Row, max_new_tokens: int) -> bool:
    """Whether every right answer has more bytes than an answer may have tokens, and no fault that counts already."""
    if row["style"] == "choice":
        return False
    texts = right_texts(row)
    return all(len(text.encode()) > max_new_tokens for text in texts) and cause_of(row["target"]) != LINES


def _fits(rows: Sequence[Row], max_new_tokens: int, count: CountTokens) -> list[bool]:
    """Of each row, whether any of its right answers has no more tokens than an answer may have."""
    fits = []
    for start in range(0, len(rows), AT_ONCE):
        texts = [right_texts(row) for row in rows[start : start + AT_ONCE]]
        lengths = iter(count([f" {text.strip()}" for of_row in texts for text in of_row]))
        fits += [min(islice(lengths, len(of_row))) <= max_new_tokens for of_row in texts]
    return fits


def counter(source: ModelSource) -> Callable[[], CountTokens]:
    """Loads the model's tokenizer when it is called, and counts with it."""

    def load() -> CountTokens:
        tokenizer = load_tokenizer(source)
        return lambda texts: [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    return load
