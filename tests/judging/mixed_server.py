"""A server that mixes right replies with every odd one, and writes down what it did: the truth that labels and money
are held to.
"""

from dataclasses import dataclass
import json
from typing import Any

from aiohttp import web

from tests.judging.chat_server import ChatServer, Plan, drawn

TOKENS_IN, TOKENS_OUT = 40, 3

DRESSES = (
    "{}", "{}.", "**{}**", " {}</s>", "{}<|im_end|>", "{}<|eot_id|>", "<think>\nyes or no?\n</think>\n\n{}",
    "Answer: {}", "**Verdict:** {}", '{{"verdict": "{}"}}', '```json\n{{"verdict": "{}", "why": "no"}}\n```',
    "{}, since",
)  # fmt: skip
"""Of a verdict."""

NO_VERDICTS = (
    "<think>\nThe question asks", "I'm sorry, I can't help with that.", "Not yes", "eyes", "yesterday", "yes and no",
    '{"verdict": "maybe"}', '{"score": 7, "wh', "", "\x1b[2Jyes", "No idea.", "Perhaps.",
)  # fmt: skip

USAGES: tuple[Any, ...] = (
    {"prompt_tokens": -40, "completion_tokens": -3}, {"prompt_tokens": "40", "completion_tokens": "3"}, None, [],
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": 1e300, "completion_tokens": 3},
)  # fmt: skip
"""That are no counts; others say how it was."""

FAULTS = {"busy": 0.06, "error": 0.04, "cut": 0.02, "garbage": 0.02, "hang": 0.01}


@dataclass(frozen=True)
class Done:
    """One request that this server did the work of.

    Attributes:
        question: of the row.
        label: that its reply stands for; None for no verdict.
        sent: whether the whole reply went out.
    """

    question: str
    label: int | None
    sent: bool


class MixedServer(ChatServer):
    """What a row gets is drawn by its text, faults also by how often it came."""

    def __init__(self, latency_s: float = 0.0) -> None:
        super().__init__(Plan(latency_s=latency_s, faults=FAULTS, hang_s=20.0))
        self.log: list[Done] = []

    async def _respond(self, request: web.Request, status: Any, body: dict[str, Any]) -> web.StreamResponse:
        text = str(body["messages"][-1]["content"])
        if status in (200, "cut"):
            fields = json.loads(text.split("\n", 1)[0])
            self.log.append(Done(fields["question"], self.label(text), status == 200))
        return await super()._respond(request, status, body)

    def label(self, text: str) -> int | None:
        """By what is drawn alone: never by reading a reply."""
        return None if drawn("odd", text) < 0.25 else self._right(text)

    def _right(self, text: str) -> int:
        fields = json.loads(text.split("\n", 1)[0])
        return int(fields["right_answer"] == fields["proposed_answer"])

    async def _completion(self, body: dict[str, Any]) -> web.Response:
        text = str(body["messages"][-1]["content"])
        if self.label(text) is None:
            place = int(drawn("which", text) * (len(NO_VERDICTS) + 2))
            said = NO_VERDICTS[place] if place < len(NO_VERDICTS) else None
        else:
            dress = DRESSES[int(drawn("which", text) * len(DRESSES))]
            said = dress.format(
                ("No", "Yes")[self._right(text)] if drawn("case", text) < 0.5 else ("no", "yes")[self._right(text)]
            )
            place = 0
        choices: list[Any] = [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]
        if place == len(NO_VERDICTS):
            choices = []
        elif place > len(NO_VERDICTS):
            choices = [{"message": None, "finish_reason": "content_filter"}]
        usage: Any = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT}
        if drawn("usage", text) < 0.3:
            usage = USAGES[int(drawn("no usage", text) * len(USAGES))]
        values = {"model": "judge", "choices": choices, "usage": usage}
        return web.Response(text=json.dumps(values), content_type="application/json")

    def labels(self) -> dict[str, int | None]:
        """By question, what the replies that went out stand for."""
        return {done.question: done.label for done in self.log if done.sent}

    def cost_usd(self, per_token: float, answered: bool = False) -> float:
        """Of the work that was done, or of that alone which gave each row its verdict."""
        counted = {done.question for done in self.log if done.label is not None and done.sent} if answered else self.log
        return len(counted) * (TOKENS_IN + TOKENS_OUT) * per_token
