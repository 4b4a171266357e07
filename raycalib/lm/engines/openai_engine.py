"""Any server with OpenAI's completions: plain prompts, so that the model reads exactly the paper's strings."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import os
from string import ascii_lowercase
from typing import Any, NamedTuple

from raycalib.errors import ModelError
from raycalib.lm.engines.answer_end import LINE_BREAK, GrowingAnswer, Piece, ends_here, piece_of
from raycalib.lm.engines.requests import Generation, GenerationRequest, TokenCounts, failed_generation
from raycalib.lm.engines.settings import EngineSettings
from raycalib.secrets import hide, hide_message, remember

TOP_LOGPROBS = 5
"""The most that OpenAI's completions give."""

KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "none"
STATUS_OF_ROWS = {400, 413, 422}
"""What a request's own text can cause, such as being too long; any other failure is the server's or the key's."""
MOST_REFUSED = 8
"""So many refusals without one answer are not about the texts: the server does not take what it is asked for."""


class TextSpelling:
    """Tokens of a server, which come as texts and without the end of the text."""

    def ends(self, token: str) -> bool:
        """Never: the server leaves the end out."""
        return False

    def piece(self, token: str) -> Piece:
        """What the token does to an answer."""
        return piece_of(token)

    def text(self, tokens: Sequence[str]) -> str:
        """The texts, joined."""
        return "".join(tokens)


class OpenAiEngine:
    """Asks a server, many requests at once; an open-ended answer stops at its first line break.

    Where that break does not end an answer (a blank first line, a colon before it), the request is made again without
    the stop.

    Too long texts are refused by the server, since only it knows its tokenizer: such rows have ``error`` set. Option
    log-likelihoods are given where all letters are among the five best tokens.

    Attributes:
        counts: what has been done so far, as the server counts.
    """

    def __init__(self, settings: EngineSettings, model: str, max_new_tokens: int) -> None:
        """Asks ``model``, unless the settings name another.

        Raises:
            ModelError: OpenAI's own server is to be asked, and there is no key.
        """
        self.settings, self.model = settings, settings.served_model or model
        remember(os.environ.get(KEY_VARIABLE, ""))
        self.max_new_tokens = max_new_tokens
        self.counts = TokenCounts()
        self._n_answered = 0
        if settings.base_url is None and not os.environ.get(KEY_VARIABLE):
            raise ModelError(f"engine: {KEY_VARIABLE} is not set; set it, or give --engine.base-url of a server")

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """One generation per request, in the order given.

        Raises:
            ModelError: the server cannot be reached, does not accept the key, does not know the model, refuses all that
                it is asked, or does not answer with completions.
        """
        with ThreadPoolExecutor(max_workers=1) as thread:  # the caller's may have an event loop already
            done = thread.submit(asyncio.run, self._ask_all(requests)).result()
        self._n_answered += sum(one.error is None for one in done)
        if not self._n_answered and len(done) >= MOST_REFUSED:
            raise ModelError(f"engine: {self._server} refuses every request: {done[0].error}")
        return done

    async def _ask_all(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        from openai import AsyncOpenAI

        places = asyncio.Semaphore(self.settings.max_in_flight)
        async with AsyncOpenAI(
            api_key=os.environ.get(KEY_VARIABLE) or NO_KEY,
            base_url=self.settings.base_url,
            timeout=self.settings.timeout_s,
            max_retries=self.settings.max_retries,
        ) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._ask(client, places, request)) for request in requests]
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _ask(self, client: Any, places: asyncio.Semaphore, request: GenerationRequest) -> Generation:
        async with places:
            if request.n_options:
                return read_letter(await self._completion(client, request.text, 1), request.n_options)
            first = await self._completion(client, request.text, self.max_new_tokens, stop=LINE_BREAK)
            if isinstance(first, Generation) or first.finish_reason != "stop" or ends_here(first.text + LINE_BREAK):
                return read_answer(first)
            # The text stopped at its end or at a line break that does not end an answer: a server does not say which.
            return read_answer(await self._completion(client, request.text, self.max_new_tokens))

    async def _completion(self, client: Any, prompt: str, max_tokens: int, **given: Any) -> "Completion | Generation":
        """A completion, or the failed generation of a prompt that the server refuses.

        Raises:
            ModelError: the server failed, after as many attempts as the settings allow.
        """
        from openai import APIError

        for _ in range(self.settings.max_retries + 1):
            try:
                reply = await client.completions.create(
                    model=self.model,
                    prompt=prompt,
                    max_tokens=max_tokens,
                    temperature=0,
                    logprobs=TOP_LOGPROBS,
                    **given,
                )
            except APIError as error:  # the package has made it again already, where that may help
                if getattr(error, "status_code", None) in STATUS_OF_ROWS:
                    return failed_generation(self._said(error))
                raise ModelError(f"engine: {self._server}: {self._said(error)}") from None
            except ValueError:  # a body that was cut off
                continue
            if getattr(reply, "choices", None):
                return self._counted(reply)
        raise ModelError(f"engine: {self._server}: the reply is not a completion; run the same command again")

    def _counted(self, reply: Any) -> "Completion":
        n_read, n_tokens = (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)
        self.counts.tokens_read += n_read
        self.counts.tokens_generated += n_tokens
        choice = reply.choices[0]
        text = hide(str(choice.text))
        tokens = _logprobs(choice.logprobs) if text == choice.text else []  # they would spell what was hidden
        return Completion(text, str(choice.finish_reason), tokens, n_tokens)

    @property
    def _server(self) -> str:
        return self.settings.base_url or "OpenAI"

    def _said(self, error: Any) -> str:
        """The server's message in one line, the key taken out should it be quoted."""
        return hide_message(" ".join(f"{type(error).__name__}: {error.message}".split()))[:500]


class _Token(NamedTuple):
    """A token of a reply."""

    text: str
    gain: float
    top: Mapping[str, float]

    @property
    def margin(self) -> float | None:
        return _margin(self.top, self.gain)


class Completion(NamedTuple):
    """A server's reply; ``tokens`` is empty where it gives no log-probabilities, ``n_tokens`` is its own count."""

    text: str
    finish_reason: str
    tokens: Sequence[_Token]
    n_tokens: int


def read_letter(reply: Completion | Generation, n_options: int) -> Generation:
    """The generation of one token; a generation that failed stays as it is."""
    if isinstance(reply, Generation):
        return reply
    first = reply.tokens[0] if reply.tokens else None
    return Generation(
        output=reply.text,
        n_answer_tokens=1,
        log_likelihood=first.gain if first else None,
        option_log_likelihoods=_letters(first.top, n_options) if first else (),
        finish_reason="stop",
        min_margin=first.margin if first else None,
    )


def read_answer(reply: Completion | Generation) -> Generation:
    """The generation of an open-ended answer; a generation that failed stays as it is.

    The text is what counts. Tokens behind it ended it: vLLM lists the end of the text and the line break that it was
    to stop at. Where tokens do not spell the text (OpenAI shows parts of characters as bytes), or there are none, only
    the text is known.
    """
    if isinstance(reply, Generation):
        return reply
    answer, left = GrowingAnswer(TextSpelling()), reply.text
    for token in reply.tokens:
        if not left:
            answer.end(token.gain, token.margin)
            break
        spelled = token.text[: len(left)]
        if not left.startswith(spelled):
            return _text_alone(reply)
        answer.add(spelled, token.gain, token.margin)
        left = left[len(spelled) :]
    if left and not answer.stopped:
        return _text_alone(reply)
    done = answer.result()
    return done if answer.stopped else replace(done, finish_reason=reply.finish_reason)


def _text_alone(reply: Completion) -> Generation:
    breaks = [place for place, character in enumerate(reply.text, start=1) if character == LINE_BREAK]
    end = next((place for place in breaks if ends_here(reply.text[:place])), None)
    return Generation(
        output=reply.text[:end],
        n_answer_tokens=reply.n_tokens,
        log_likelihood=None,
        option_log_likelihoods=(),
        finish_reason=reply.finish_reason if end is None else "stop",
    )


def _logprobs(given: Any) -> list[_Token]:
    """The tokens with their log-probabilities; none where the server does not give them all."""
    tokens, gains = (list(part or ()) for part in (given.tokens, given.token_logprobs)) if given else ([], [])
    if len(tokens) != len(gains) or None in gains:
        return []
    tops = list(given.top_logprobs or ()) if given else []
    return [
        _Token(text, gain, (tops[place] if place < len(tops) else None) or {})
        for place, (text, gain) in enumerate(zip(tokens, gains, strict=True))
    ]


def _margin(top: Mapping[str, float] | None, gain: float) -> float | None:
    """How much likelier the token is than the next; None where the server gives no other token."""
    others = sorted((top or {}).values(), reverse=True)
    return gain - others[1] if len(others) > 1 else None


def _letters(top: Mapping[str, float], n_options: int) -> tuple[float, ...]:
    found = {token.strip(): gain for token, gain in sorted(top.items(), key=lambda item: item[1])}
    letters = [found.get(letter) for letter in ascii_lowercase[:n_options]]
    known = tuple(gain for gain in letters if gain is not None)
    return known if len(known) == n_options else ()
