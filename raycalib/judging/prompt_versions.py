"""Versions of what a judge is asked; a version names prompt and parser together, and neither changes under its name.

A label depends on both, a reply on the prompt alone: with a new parser, replies that were paid for are read again, and
not asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.judging.grade import Grade
from raycalib.judging.judge_prompts import SYSTEM_PROMPT, answer_key_prompt
from raycalib.judging.strict_prompt import STRICT_SYSTEM_PROMPT, strict_prompt
from raycalib.judging.verdicts import parse_verdict

Messages = list[dict[str, str]]
"""What a chat model reads: ``{"role": …, "content": …}`` each."""

JudgePromptName = Literal["paper", "strict"]
JUDGE_PROMPTS: tuple[str, ...] = get_args(JudgePromptName)


@dataclass(frozen=True, kw_only=True)
class JudgePrompt:
    """A prompt with its parser.

    Attributes:
        version: of both; part of every label's key, record and manifest.
        asked: the first version with this prompt; part of every reply's key.
        system: the system message.
        user: question, right answer, proposed answer → the user message.
        parse: reply → grade.
    """

    version: str
    asked: str
    system: str
    user: Callable[[str, str, str], str]
    parse: Callable[[str], Grade]

    def messages(self, question: str, target: str, answer: str) -> Messages:
        """What the judge reads about one answer."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user(question, target, answer)},
        ]


_VERSIONS = {
    "paper": JudgePrompt(
        version="paper-3", asked="paper-1", system=SYSTEM_PROMPT, user=answer_key_prompt, parse=parse_verdict
    ),
    "strict": JudgePrompt(
        version="strict-3", asked="strict-1", system=STRICT_SYSTEM_PROMPT, user=strict_prompt, parse=parse_verdict
    ),
}


def judge_prompt(name: str) -> JudgePrompt:
    """The current version of a judge prompt.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in _VERSIONS:
        raise ConfigError(f"judge.prompt: {name!r} is unknown; allowed: {', '.join(JUDGE_PROMPTS)}")
    return _VERSIONS[name]
