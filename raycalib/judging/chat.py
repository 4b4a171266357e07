"""One request to an OpenAI-compatible server through the ``openai`` package."""

import asyncio
from dataclasses import dataclass
import json
from typing import Any

from raycalib.judging.failures import FailureKind, RequestFailedError, kind_of_status, without_secret
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.rate_headers import RateNote, read_rate_headers
from raycalib.judging.retrying import retry_after_s
from raycalib.judging.settings import JudgeSettings

NO_KEY = "none"
"""Sent where no key is set: servers of one's own take any."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a judge said.

    Attributes:
        text: of the message; empty where there is none.
        tokens_in, tokens_out: as the server counted them; 0 where it does not say.
    """

    text: str
    tokens_in: int
    tokens_out: int


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
        except UnicodeEncodeError:
            raise RequestFailedError(FailureKind.ROW, "its text holds half a surrogate pair") from None
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
            text = choice["message"].get("content") or ""
            usage = values.get("usage") or {}
            tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            shown = without_secret(body[:120].decode(errors="replace"), self._key)
            raise self._fault(f"the reply is no chat completion: {shown!r}") from None
        if choice.get("finish_reason") == "content_filter" and not text:
            raise RequestFailedError(FailureKind.ROW, "the server's filter held the reply back", may_be_billed=True)
        return Reply(text=str(text), tokens_in=tokens[0], tokens_out=tokens[1])

    def _of_status(self, error: Any) -> RequestFailedError:
        said = error.body.get("message") if isinstance(error.body, dict) else None
        message = f"{error.status_code}: {said or error.response.text or error.message}"
        wait = retry_after_s(error.response.headers.get("retry-after"))
        kind = kind_of_status(error.status_code, error.code)
        return RequestFailedError(kind, without_secret(message, self._key), wait)

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
