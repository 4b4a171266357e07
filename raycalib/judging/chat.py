"""One request to an OpenAI-compatible server through the ``openai`` package."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
from typing import Any

from raycalib.judging.failures import FailureKind, RequestFailedError, kind_of_status, without_secret
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.rate_headers import RateNote, read_rate_headers
from raycalib.judging.retrying import retry_after_s
from raycalib.judging.settings import JudgeSettings

MOST_OF_BODY = 120
NO_KEY = "none"
"""Sent where no key is set: servers of one's own take any."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a judge said.

    Attributes:
        text: of the message; empty where there is none.
        tokens_in, tokens_out: as the server counted them; 0 where it does not say.
        model: as the server names it, such as the dated version behind an alias; empty where it does not say.
        date: of the reply, such as 2026-11-25, in UTC.
    """

    text: str
    tokens_in: int
    tokens_out: int
    model: str = ""
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A reply with what came with it.

    Attributes:
        reply: what the judge said.
        note: the server's limits.
    """

    reply: Reply
    note: RateNote


class ChatClient:
    """Asks one model of one server. Retries are the caller's: the package's own are turned off."""

    def __init__(self, settings: JudgeSettings, key: str) -> None:
        """Opens no connection yet; belongs to the event loop that first uses it."""
        from openai import AsyncOpenAI

        self.settings = settings
        self._key = key
        self._client = AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=settings.base_url,
            max_retries=0,
            timeout=settings.timeout_s,
            http_client=_http_client(settings),
        )

    async def ask(self, messages: Messages, timeout_s: float) -> Answered:
        """The judge's reply.

        Raises:
            RequestFailedError: anything that went wrong, without the key in its message.
        """
        import openai

        if not all(message["content"].isascii() or _is_text(message["content"]) for message in messages):
            raise RequestFailedError(FailureKind.ROW, "its text holds half a surrogate pair")
        try:
            async with asyncio.timeout(timeout_s):  # of all of it; the package's own is of each read
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self.settings.model,
                    messages=messages,
                    timeout=timeout_s,
                    **self._sampling(),
                )
        except openai.APIStatusError as error:
            raise self._of_status(error) from None
        except (openai.APITimeoutError, TimeoutError):
            raise self._fault(f"no reply within {timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            raise self._fault(_cause(error)) from None
        except openai.OpenAIError as error:
            raise self._fault(str(error)) from None
        response = raw.http_response
        return Answered(reply=self._reply(response.content), note=read_rate_headers(response.headers))

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _sampling(self) -> dict[str, Any]:
        limit: dict[str, Any] = {self.settings.token_limit_name: self.settings.max_output_tokens}
        return limit if self.settings.temperature is None else limit | {"temperature": self.settings.temperature}

    def _reply(self, body: bytes) -> Reply:
        try:
            values = json.loads(body)
            choice = values["choices"][0]
            text = _said(choice["message"].get("content"))
            usage = values.get("usage") or {}
            tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            shown = without_secret(body.decode(errors="replace"), self._key)[:MOST_OF_BODY]
            raise self._fault(f"the reply is no chat completion: {shown!r}") from None
        if choice.get("finish_reason") == "content_filter" and not text:
            raise RequestFailedError(FailureKind.ROW, "the server's filter held the reply back", may_be_billed=True)
        if choice.get("finish_reason") == "length" and not text.strip():
            limit = f"{self.settings.token_limit_name} ({self.settings.max_output_tokens})"
            raise RequestFailedError(
                FailureKind.ROW,
                f"its reply ended at {limit} before any text, as of a model that thinks first: raise "
                "--judge.max-output-tokens",
                may_be_billed=True,
            )
        named = values.get("model")
        return Reply(
            text=text, tokens_in=tokens[0], tokens_out=tokens[1], model=named if isinstance(named, str) else ""
        )

    def _of_status(self, error: Any) -> RequestFailedError:
        said = error.body.get("message") if isinstance(error.body, dict) else None
        message = f"{error.status_code}: {said or error.response.text or error.message}"
        headers = error.response.headers
        milliseconds = retry_after_s(headers.get("retry-after-ms"))
        wait = retry_after_s(headers.get("retry-after")) if milliseconds is None else milliseconds / 1000
        kind = kind_of_status(error.status_code, error.code, message)
        return RequestFailedError(kind, without_secret(message, self._key), wait, note=read_rate_headers(headers))

    def _fault(self, message: str) -> RequestFailedError:
        return RequestFailedError(FailureKind.FAULT, without_secret(message, self._key), may_be_billed=True)


def _http_client(settings: JudgeSettings) -> Any:
    """Connections for all requests in flight, kept open; a redirect could carry texts to another server."""
    from openai import DEFAULT_CONNECTION_LIMITS, DefaultAioHttpClient, DefaultAsyncHttpxClient

    open_at_once = settings.concurrency
    limits = type(DEFAULT_CONNECTION_LIMITS)(max_connections=open_at_once, max_keepalive_connections=open_at_once)
    options: dict[str, Any] = {"limits": limits, "timeout": settings.timeout_s, "follow_redirects": False}
    try:
        return DefaultAioHttpClient(**options)
    except RuntimeError:  # aiohttp is not there
        return DefaultAsyncHttpxClient(**options)


def _cause(error: BaseException) -> str:
    inner = error.__cause__
    return f"{type(inner).__name__}: {inner}" if inner is not None else str(error)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(content: Any) -> str:
    """A message's text, which may come in parts; half a surrogate pair becomes a question mark."""
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return str(content or "").encode("utf-8", "replace").decode()
