"""Questions as a model reads them, and answers to them as it is asked about."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from raycalib.errors import ConfigError
from raycalib.prompts import Example, choice_context, open_ended_context

CHOICE = "choice"


@dataclass(frozen=True)
class Asked:
    """A question.

    Attributes:
        text: that a model reads before it answers.
        options: to choose from; none of an open-ended question.
    """

    text: str
    options: tuple[str, ...] = ()

    @property
    def letters(self) -> str:
        """Of the options, in order."""
        return ascii_lowercase[: len(self.options)]

    def read(self, answer: str) -> tuple[str, str]:
        """An answer that came from anywhere as the query shows it, and why it has no confidence; empty where it has."""
        answer = answer.strip()
        if not self.options:
            several = "\n" in answer or "\r" in answer
            return answer, "the answer has several lines, and answers of one were calibrated on" if several else ""
        letter = answer.removeprefix("(").removesuffix(")").lower()
        if len(letter) == 1 and letter in self.letters:
            return letter, ""
        same = [self.letters[n] for n, option in enumerate(self.options) if option.strip() == answer]
        return (same[0], "") if len(same) == 1 else (answer, "the answer is neither an option nor the letter of one")


def asked(
    questions: Sequence[str],
    choices: Sequence[Sequence[str]] | None,
    style: str,
    contexts: Sequence[str] | None = None,
) -> list[Asked]:
    """The questions in a bundle's style, each below the text that it is about, where there is one.

    Raises:
        ConfigError: they are no list of texts, or have options where the style has none, or none where it has.
    """
    if isinstance(questions, str) or not all(isinstance(question, str) for question in questions):
        raise ConfigError("questions: give a list of texts, such as ['What is the capital of France?']")
    about = [""] * len(questions) if contexts is None else [context.strip() for context in contexts]
    if len(about) != len(questions):
        raise ConfigError(f"contexts: {len(about)} for {len(questions)} questions; give one for each, empty where none")
    if style != CHOICE:
        if choices is not None:
            raise ConfigError(
                "choices: this bundle is of open-ended questions; leave options out, or use a choice bundle"
            )
        return [
            _asked((f"Context: {context}\n" if context else "") + open_ended_context(question.strip()))
            for context, question in zip(about, questions, strict=True)
        ]
    if choices is None or len(choices) != len(questions):
        raise ConfigError("choices: this bundle is of multiple choice; give a list of options for each question")
    return [
        _with_options(f"Context:\n{context}\n\n" if context else "", question, options)
        for context, question, options in zip(about, questions, choices, strict=True)
    ]


def _asked(context: str, options: Sequence[str] = ()) -> Asked:
    return Asked(Example(context=context, target="").text(), tuple(options))


def _with_options(before: str, question: str, options: Sequence[str]) -> Asked:
    if isinstance(options, str) or not 2 <= len(options) <= len(ascii_lowercase):
        raise ConfigError(
            f"choices: {len(options)} option(s) of {question[:60]!r}; give 2 to {len(ascii_lowercase)} texts"
        )
    return _asked(before + choice_context(question.strip(), options), options)
