"""One request to an OpenAI-compatible server through the ``openai`` package."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
from typing import Any

from raycalib.judging.failures import FailureKind, RequestFailedError, kind_of_status, without_secret
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.rate_headers import RateNote, read_rate_headers
from raycalib.judging.remedies import remedy
from raycalib.judging.retrying import retry_after_s
from raycalib.judging.settings import JudgeSettings
from raycalib.judging.usage import Usage, read_usage
from raycalib.secrets import hide, remember

MOST_OF_BODY = 120
NO_KEY = "none"
"""Sent where no key is set: servers of one's own take any."""

NEVER_SENT = {
    "aiohttp": {"ClientConnectorError", "ClientHttpProxyError", "ConnectionTimeoutError", "InvalidURL"},
    "httpx": {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    },
}
"""Errors, by package, before a request leaves: a connection, a name, a certificate or a proxy that is refused."""

WORK_MAY_BE_DONE = {408, 502, 504, 520, 524}
"""Statuses of a gateway whose server may have read the request and replied, too late or to nobody. With a plain 500 or
503 the server itself says that it did not do the work, as with 429."""

CONNECT_SHARE = 0.9
"""Of a request's time: a connection that does not come is told apart from a reply that does not."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a judge said.

    Attributes:
        text: of the message; empty where there is none.
        tokens_in, tokens_out: as the server counted them; 0 where it does not say, or says what can be no count.
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
        usage: what it says that the reply took.
        finish_reason: why the reply ended; empty where it does not say.
    """

    reply: Reply
    note: RateNote
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = ""


class ChatClient:
    """Asks one model of one server. Retries are the caller's: the package's own are turned off."""

    def __init__(self, settings: JudgeSettings, key: str) -> None:
        """Opens no connection yet; belongs to the event loop that first uses it."""
        from openai import AsyncOpenAI

        self.settings = settings
        self._key = key
        remember(key)
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
                    timeout=_timeouts(timeout_s),
                    **self._sampling(),
                )
        except openai.APIStatusError as error:
            raise self._of_status(error) from None
        except openai.APIConnectionError as error:  # timeouts are among them
            raise self._of_way(error, timeout_s) from None
        except TimeoutError:
            raise self._fault(f"no reply within {timeout_s:g} s") from None
        except openai.OpenAIError as error:
            raise self._fault(str(error)) from None
        return self._answered(raw.http_response)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _sampling(self) -> dict[str, Any]:
        limit: dict[str, Any] = {self.settings.token_limit_name: self.settings.max_output_tokens}
        return limit if self.settings.temperature is None else limit | {"temperature": self.settings.temperature}

    def _answered(self, response: Any) -> Answered:
        """What a response of status 200 says.

        Raises:
            RequestFailedError: it is no chat completion, or one without a text.
        """
        values = _object(response.content)
        if values is None:
            shown = without_secret(response.content.decode(errors="replace"), self._key)[:MOST_OF_BODY]
            raise self._fault(f"the reply is no chat completion: {shown!r}; check --judge-base-url")
        if (error := values.get("error")) and not values.get("choices"):  # a router's answer to what failed behind it
            raise self._of_error(error if isinstance(error, dict) else {"message": error}, response)
        choice, text = _first_choice(values)
        finish_reason = choice.get("finish_reason")
        if not (text or "").strip():
            self._check_silent(text, finish_reason)
        usage, named = read_usage(values.get("usage")), values.get("model")
        reply = Reply(
            text=hide(text or ""),
            tokens_in=usage.tokens_in or 0,
            tokens_out=usage.tokens_out or 0,
            model=hide(named) if isinstance(named, str) else "",
        )
        finish = finish_reason if isinstance(finish_reason, str) else ""
        return Answered(reply=reply, note=read_rate_headers(response.headers), usage=usage, finish_reason=finish)

    def _check_silent(self, text: str | None, finish_reason: Any) -> None:
        """Raises RequestFailedError where it is known why a reply has no text; one that is only empty is a reply."""
        if finish_reason == "content_filter":
            reason = "the server's filter held the reply back; another model by --judge-model may read these texts"
        elif finish_reason == "length":
            reason = (
                f"its reply ended at {self.settings.token_limit_name} ({self.settings.max_output_tokens}) before any "
                "text, as of a model that thinks first: raise --judge.max-output-tokens"
            )
        elif text is None:
            reason = "its reply has no message; check --judge-model and --judge-base-url"
        else:
            return
        raise RequestFailedError(FailureKind.ROW, reason, may_be_billed=True)

    def _of_error(self, said: dict[str, Any], response: Any) -> RequestFailedError:
        """Of a response of status 200 whose body is an error."""
        code = said.get("code")
        status = code if isinstance(code, int) and 300 <= code < 600 else 500
        message = f"{status}: {said.get('message') or said}"
        kind = kind_of_status(status, code, message)
        shown = self._with_remedy(kind, status, message)
        return RequestFailedError(kind, shown, may_be_billed=True, note=read_rate_headers(response.headers))

    def _of_status(self, error: Any) -> RequestFailedError:
        said = error.body.get("message") if isinstance(error.body, dict) else None
        message = f"{error.status_code}: {said or error.response.text or error.message}"
        headers = error.response.headers
        milliseconds = retry_after_s(headers.get("retry-after-ms"))
        wait = retry_after_s(headers.get("retry-after")) if milliseconds is None else milliseconds / 1000
        kind = kind_of_status(error.status_code, error.code, message)
        shown = self._with_remedy(kind, error.status_code, message, headers.get("location", ""))
        may_be_billed = error.status_code in WORK_MAY_BE_DONE
        return RequestFailedError(kind, shown, wait, may_be_billed, read_rate_headers(headers))

    def _with_remedy(self, kind: FailureKind, status: int, message: str, location: str = "") -> str:
        """The server's words without the key, and what helps."""
        said = without_secret(message, self._key)
        place = without_secret(location.partition("?")[0], self._key)
        helps = remedy(status, said, place) if kind is FailureKind.FATAL else ""
        return f"{said}; {helps}" if helps else said

    def _of_way(self, error: Exception, timeout_s: float) -> RequestFailedError:
        """Of a connection that could not be made, or was lost."""
        cause = _root(error)
        never_sent = was_never_sent(cause)
        if "timeout" in type(cause).__name__.lower():
            message = f"no {'connection' if never_sent else 'reply'} within {timeout_s:g} s"
        else:
            message = f"{type(cause).__name__}: {cause}"
        if never_sent:
            message += "; check --judge-base-url, and that its server runs and is reached from here"
        return RequestFailedError(FailureKind.FAULT, without_secret(message, self._key), may_be_billed=not never_sent)

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


def _root(error: BaseException) -> BaseException:
    """The transport's own error: of aiohttp where it carries httpx, which takes a lost reply for a connection that was
    never made.
    """
    cause = error.__cause__ or error
    carried = cause.__cause__
    return carried if carried is not None and type(carried).__module__.startswith("aiohttp") else cause


def was_never_sent(error: BaseException) -> bool:
    """Whether the transport gave up before the request left, so that nobody can have done the work."""
    package = next((name for name in NEVER_SENT if type(error).__module__.startswith(name)), "")
    return not NEVER_SENT.get(package, set()).isdisjoint(kind.__name__ for kind in type(error).__mro__)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _timeouts(timeout_s: float) -> Any:
    from openai import Timeout

    return Timeout(timeout_s, connect=CONNECT_SHARE * timeout_s, pool=CONNECT_SHARE * timeout_s)


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a chat completion or of an error; None where it is neither."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return None
    is_one = isinstance(values, dict) and (isinstance(values.get("choices"), list) or bool(values.get("error")))
    return values if is_one else None


def _first_choice(values: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The first choice, and its text; None where there is no message."""
    choices = values.get("choices") or [{}]
    choice = choices[0] if isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        return choice, None
    return choice, _said(message.get("content")) or _said(message.get("refusal"))


def _said(content: Any) -> str:
    """A message's text, which may come in parts; half a surrogate pair becomes a question mark."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    return str(content or "").encode("utf-8", "replace").decode()
