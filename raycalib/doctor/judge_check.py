"""Whether the judge answers: one question, of which everyone knows the answer."""

import asyncio

from raycalib.doctor.check import Check
from raycalib.errors import ConfigError
from raycalib.judging.chat import ChatClient
from raycalib.judging.failures import RequestFailedError
from raycalib.judging.prompt_versions import judge_prompt
from raycalib.judging.settings import JudgeSettings
from raycalib.stages.labels.judge_desk import judge_key

QUESTION, ANSWER = "What is the capital of France?", "Paris"
REMEDY = "see docs/judging.md"


def judge_check(settings: JudgeSettings) -> Check:
    """Asks once, which costs what one row does."""
    try:
        key = judge_key(settings)
        said = asyncio.run(_ask(settings, key))
    except (RequestFailedError, ConfigError) as error:
        return Check.fault(
            name="judge",
            found=f"{settings.model} at {settings.base_url}: {error}",
            remedy=REMEDY,
        )
    if judge_prompt(settings.prompt).parse(said).query_label != 1:
        shown = said.strip()[:60]
        return Check.fault(
            name="judge",
            found=f"{settings.model} says {shown!r} of a right answer, and not that it is right",
            remedy="try --judge-prompt strict, raise --judge.max-output-tokens, or name another model",
        )
    return Check(name="judge", found=f"{settings.model} at {settings.base_url} judges")


async def _ask(settings: JudgeSettings, key: str) -> str:
    client = ChatClient(settings, key)
    try:
        messages = judge_prompt(settings.prompt).messages(QUESTION, ANSWER, ANSWER)
        return (await client.ask(messages, settings.timeout_s)).reply.text
    finally:
        await client.close()
