"""Which engine generates, and what it needs to know."""

from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from raycalib.errors import ConfigError

EngineName = Literal["transformers", "vllm", "openai"]
ENGINES: tuple[str, ...] = get_args(EngineName)


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What generates answers. Features for probes and query logits always come from transformers.

    Attributes:
        name: ``transformers``; ``vllm`` (install ``raycalib[vllm]``); ``openai``, any server with OpenAI's
            ``/v1/completions``, whose key is read from OPENAI_API_KEY.
        base_url: of the server, such as http://127.0.0.1:8000/v1; None is OpenAI's own. Only for ``openai``.
        served_model: the model's name at the server; None is its hub id or directory. Only for ``openai``.
        max_in_flight: requests that one worker keeps open at the server.
        timeout_s: of one request.
        max_retries: of a request that a busy or failing server did not answer; its Retry-After is kept to.
        gpu_memory_share: of the worker's share of a GPU that ``vllm`` may take, above 0 to 1.
    """

    name: EngineName = "transformers"
    base_url: str | None = None
    served_model: str | None = None
    max_in_flight: int = 64
    timeout_s: float = 120.0
    max_retries: int = 6
    gpu_memory_share: float = 0.9

    def __post_init__(self) -> None:
        problems = []
        if self.name not in ENGINES:
            problems.append(f"engine.name: {self.name!r} is unknown; allowed: {', '.join(ENGINES)}")
        if self.name != "openai":
            problems += [
                f"engine.{field}: {getattr(self, field)!r} is only for --engine openai, and this is {self.name}"
                for field in ("base_url", "served_model")
                if getattr(self, field) is not None
            ]
        problems += _problems_of_url(self.base_url)
        problems += [
            f"engine.{field}: {getattr(self, field)} is not allowed; at least {least}"
            for field, least in (("max_in_flight", 1), ("max_retries", 0))
            if getattr(self, field) < least
        ]
        if self.timeout_s <= 0:
            problems.append(f"engine.timeout_s: {self.timeout_s} is not allowed; above 0")
        if not 0 < self.gpu_memory_share <= 1:
            problems.append(f"engine.gpu_memory_share: {self.gpu_memory_share} is not allowed; above 0, at most 1")
        if problems:
            raise ConfigError("; ".join(problems))

    def identity(self) -> dict[str, Any]:
        """What decides the answers: the engine, and which server and model it asks."""
        if self.name != "openai":
            return {"engine": self.name}
        return {"engine": self.name, "base_url": self.base_url, "served_model": self.served_model}


def _problems_of_url(url: str | None) -> list[str]:
    if url is None:
        return []
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        return [
            "engine.base_url: names, passwords and keys do not belong into it, since it is written to files; "
            "give the key in OPENAI_API_KEY"
        ]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"engine.base_url: {url!r} is not allowed; an address such as http://127.0.0.1:8000/v1"]
    return []
