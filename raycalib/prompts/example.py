"""An example: the text that a model reads to answer one question, in the paper's format.

The strings are an interface: adapters that the paper's authors released were trained on exactly these
(llm/datasets in github.com/activatedgeek/calibration-tuning).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

TARGET_PROMPT = "\nAnswer:"


@dataclass(frozen=True, kw_only=True)
class Example:
    """Few-shot header, question and answer cue; the answer follows after one space.

    Attributes:
        context: the question, with its options where the style is ``choice``.
        target: the right answer: a text (``oe``) or an option's letter (``choice``).
        target_prompt: the cue before the answer.
        prompt: the few-shot header, empty by default.
    """

    context: str
    target: str
    target_prompt: str = TARGET_PROMPT
    prompt: str = ""

    def text(self) -> str:
        r"""What the model reads before it answers.

        >>> Example(context="Question: 2 + 2?", target="4").text()
        'Question: 2 + 2?\nAnswer:'
        """
        return (self.prompt + self.context + self.target_prompt).strip()

    def answered(self, answer: str) -> str:
        """The text followed by an answer, as the paper joins them."""
        return (self.prompt + self.context + self.target_prompt + " " + answer).strip()


def open_ended_context(question: str) -> str:
    """The context of a bare question in the ``oe`` style.

    >>> open_ended_context("What is the capital of France?")
    'Question: What is the capital of France?'
    """
    return f"Question: {question}"


def choice_context(question: str, options: Sequence[str]) -> str:
    """The context of a question with lettered options in the ``choice`` style.

    >>> print(choice_context("2 + 2?", ["3", "4"]))
    Question:
    2 + 2?
    <BLANKLINE>
    Choices:
      (a): 3
      (b): 4
    """
    return with_choices(f"Question:\n{question}", options)


def with_choices(question: str, options: Sequence[str]) -> str:
    """A question of any form with its lettered options below it, at most 26."""
    lines = [f"  ({letter}): {option}" for letter, option in zip(ascii_lowercase, options, strict=False)]
    return "\n".join([f"{question}\n\nChoices:", *lines])
