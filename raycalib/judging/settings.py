"""How a judge is asked."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from raycalib.errors import ConfigError
from raycalib.judging.prompt_versions import JUDGE_PROMPTS, JudgePromptName, judge_prompt

JudgeEngine = Literal["openai", "transformers", "vllm"]
JUDGE_ENGINES: tuple[str, ...] = get_args(JudgeEngine)
TokenLimitName = Literal["max_tokens", "max_completion_tokens"]
TOKEN_LIMIT_NAMES: tuple[str, ...] = get_args(TokenLimitName)
OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """The judge, its server and what may be asked of it. The key is no setting: it comes from OPENAI_API_KEY.

    Attributes:
        model: of the server, or with a local engine a model's name, hub id or directory; no default, since judges go
            out of service.
        engine: ``openai`` asks a server, ``transformers`` and ``vllm`` load the model in the run's own workers.
        base_url: of any OpenAI-compatible server.
        prompt: ``strict`` (one word, texts fenced) or ``paper``.
        temperature: None sends none, for models that refuse it.
        max_output_tokens: of a reply.
        token_limit_name: how the server calls that limit; newer OpenAI models want ``max_completion_tokens``.
        requests_per_minute: of the whole cluster, in any minute; 0 is no limit but the server's.
        tokens_per_minute: likewise, of prompts and replies.
        concurrency: requests in flight per process.
        timeout_s: of one request, seconds.
        deadline_s: of one row, all its requests and the waits between them, seconds; waits for this cluster's own
            limits do not count.
        max_attempts: of one row.
        give_up: leave rows unscored that were asked and got no reply, in place of parking them for a later run.
        outage_failures: so many failures in a row stop the run …
        outage_s: … once this many seconds went by since the first of them.
        max_cost_usd: stop before more than this is spent by all runs into one directory; None is no limit.
        quality: judge_quality.json of a check of this judge against a person; figures are also shown corrected by it.
        price_table: a JSON file of prices in place of the one that comes with raycalib.
        cache: directory or URI of the replies; None is ``judge_cache`` in the run's directory.
    """

    model: str = ""
    engine: JudgeEngine = "openai"
    base_url: str = OPENAI_URL
    prompt: JudgePromptName = "strict"
    temperature: float | None = 0.0
    max_output_tokens: int = 8
    token_limit_name: TokenLimitName = "max_tokens"
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrency: int = 256
    timeout_s: float = 60.0
    deadline_s: float = 600.0
    max_attempts: int = 8
    give_up: bool = False
    outage_failures: int = 20
    outage_s: float = 30.0
    max_cost_usd: float | None = None
    quality: str | None = None
    price_table: str | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        problems = [*self._wrong_names(), *self._wrong_numbers(), *_url_problems(self.base_url)]
        if self.deadline_s < self.timeout_s:
            problems.append(
                f"judge.deadline_s: {self.deadline_s:g} is not allowed; at least judge.timeout_s ({self.timeout_s:g})"
            )
        if problems:
            raise ConfigError("; ".join(problems))

    def _wrong_names(self) -> list[str]:
        choices = (
            ("engine", JUDGE_ENGINES),
            ("prompt", JUDGE_PROMPTS),
            ("token_limit_name", TOKEN_LIMIT_NAMES),
        )
        return [
            f"judge.{name}: {getattr(self, name)!r} is unknown; allowed: {', '.join(allowed)}"
            for name, allowed in choices
            if getattr(self, name) not in allowed
        ]

    def _wrong_numbers(self) -> list[str]:
        least = (
            ("max_output_tokens", 1),
            ("requests_per_minute", 0),
            ("tokens_per_minute", 0),
            ("concurrency", 1),
            ("max_attempts", 1),
            ("outage_failures", 1),
            ("outage_s", 0),
        )
        problems = [
            f"judge.{name}: {getattr(self, name)} is not allowed; at least {bound}"
            for name, bound in least
            if not getattr(self, name) >= bound
        ]
        problems += [
            f"judge.{name}: {getattr(self, name)} is not allowed; above 0"
            for name in ("timeout_s", "deadline_s", "max_cost_usd")
            if getattr(self, name) is not None and not 0 < getattr(self, name) < float("inf")
        ]
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            problems.append(f"judge.temperature: {self.temperature} is not allowed; between 0 and 2, or None")
        return problems

    @property
    def prompt_version(self) -> str:
        """Of prompt and parser."""
        return judge_prompt(self.prompt).version

    def identity(self) -> dict[str, Any]:
        """What decides a judge's labels: plain values, without limits, prices or places."""
        return self._asked() | {"prompt_version": self.prompt_version}

    def reply_identity(self) -> dict[str, Any]:
        """What decides its replies, whoever reads them."""
        return self._asked() | {"prompt_version": judge_prompt(self.prompt).asked}

    def _asked(self) -> dict[str, Any]:
        names = ("model", "engine", "base_url", "temperature", "max_output_tokens", "token_limit_name")
        values = asdict(self)
        return {name: values[name] for name in names if self.engine == "openai" or name in LOCAL_NAMES}


LOCAL_NAMES = ("model", "engine", "max_output_tokens")
"""Of a local judge's identity: it decodes greedily and has no server."""


def _url_problems(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        secret = bool(parts.username or parts.password or parts.query or parts.fragment)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        secret, valid = False, False
    if secret:
        return ["judge.base_url: holds a user, password or query, which would be written down; use OPENAI_API_KEY"]
    return [] if valid else [f"judge.base_url: {url!r} is no URL of a server; such as http://127.0.0.1:8000/v1"]
