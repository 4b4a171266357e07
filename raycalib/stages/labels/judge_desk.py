"""The run's one desk as a Ray actor: the whole cluster shares its limits, and the key is in its memory alone.

The key goes from the driver's environment to this actor, and from it to workers, as the argument and the result of
method calls: small values that Ray sends from process to process and keeps in their memory. As a constructor's argument
it would lie in the cluster's control store, and in ``runtime_env`` it would be shown in the dashboard and the logs.
"""

import contextlib
from dataclasses import dataclass
import os
from typing import Any
from uuid import uuid4

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycalib.errors import ConfigError
from raycalib.judging.ledger import Ask, Grant, Ledger, LimitSettings
from raycalib.judging.limit_journal import LimitJournal
from raycalib.judging.settings import OPENAI_URL, JudgeSettings
from raycalib.judging.spend_journal import SpendJournal
from raycalib.secrets import remember
from raycalib.stages.lines.worker_streams import clean_streams
from raycalib.storage import Location

KEY_VARIABLE = "OPENAI_API_KEY"
CLOSE_S = 30


class JudgeDesk:
    """The actor: ``raycalib.judging.ledger`` behind remote calls."""

    def __init__(self, limits: LimitSettings, limit_journal: LimitJournal, spend: SpendJournal) -> None:
        clean_streams()
        self._ledger = Ledger(limits, purse=spend)
        self._limit_journal, self._spend_journal = limit_journal, spend
        self._limit_journal.open(self._ledger)
        self._key = ""

    def take_key(self, key: str) -> None:
        """Keeps the key in memory."""
        remember(key)
        self._key = key

    def key(self) -> str:
        """The key."""
        return self._key

    def exchange(self, ask: Ask) -> Grant:
        """See ``Ledger.exchange``."""
        grant = self._ledger.exchange(ask)
        self._limit_journal.keep(self._ledger)
        self._spend_journal.keep(self._ledger.budget)
        return grant

    def spent_usd(self) -> float:
        """By this run and all others into its directory."""
        return self._ledger.budget.spent_usd + self._ledger.budget.others_usd

    def close(self) -> None:
        """Leaves to the next run what this one used of the last minute, and spent."""
        self._limit_journal.close(self._ledger)
        self._spend_journal.close(self._ledger.budget)


@dataclass(frozen=True)
class RayDeskAddress:
    """The actor's name; plain data, good within the driver's job."""

    name: str

    def connect(self) -> "RayDesk":
        """The desk, from within a worker, which now knows the key: replies that are known may quote it."""
        actor = ray.get_actor(self.name)
        remember(ray.get(actor.key.remote()))
        return RayDesk(actor)


class RayDesk:
    """The actor as a judging process calls it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def key(self) -> str:
        """The key of the judge's server."""
        key: str = await self._actor.key.remote()
        return key

    async def exchange(self, ask: Ask) -> Grant:
        """One remote call."""
        grant: Grant = await self._actor.exchange.remote(ask)
        return grant


class OpenDesk:
    """A desk that lives as long as this object is in use in the driver."""

    def __init__(self, settings: JudgeSettings, cache: Location, out: Location) -> None:
        """Starts the actor on the driver's node, where losing it means that the driver is lost as well.

        Args:
            settings: whose limits hold.
            cache: beside which the limits are kept, since runs of one cache ask one server.
            out: the run's directory, in which money is counted.

        Raises:
            StorageError: what was spent so far cannot be read.
            ConfigError: the judge's server wants a key, and there is none.
        """
        key = judge_key(settings)
        limits = LimitSettings(
            requests=settings.requests_per_minute,
            tokens=settings.tokens_per_minute,
            max_cost_usd=settings.max_cost_usd,
            hold_s=settings.timeout_s + 10,
        )
        spend = SpendJournal(out)
        spend.check()
        self.address = RayDeskAddress(f"raycalib-judge-{uuid4().hex}")
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(JudgeDesk)
        self._actor = actor.options(
            name=self.address.name, num_cpus=0, max_restarts=0, scheduling_strategy=here
        ).remote(limits, LimitJournal(cache, settings.base_url), spend)
        ray.get(self._actor.take_key.remote(key))

    def spent_usd(self) -> float:
        """By this run and all others into its directory."""
        spent: float = ray.get(self._actor.spent_usd.remote(), timeout=CLOSE_S)
        return spent

    def close(self) -> None:
        """Ends the actor."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self._actor.close.remote(), timeout=CLOSE_S)
        ray.kill(self._actor)


def judge_key(settings: JudgeSettings) -> str:
    """The key from the environment; empty for a server of one's own that wants none.

    Raises:
        ConfigError: OpenAI is asked, and there is no key, or it cannot be one.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and settings.base_url.rstrip("/") == OPENAI_URL:
        raise ConfigError(
            f"judge: {OPENAI_URL} wants a key and {KEY_VARIABLE} is not set; set it in the environment of this "
            "command, or name another server by --judge-base-url"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"judge: {KEY_VARIABLE} holds a character that no key has, such as a quote or dots that were copied along; "
            "set it again"
        )
    remember(key)
    return key
