"""A judge on a server: hundreds of requests in flight, each row asked until it is answered, refused or out of time."""

import asyncio
import atexit
from collections.abc import Iterator, Sequence
import contextlib
import threading
import time

from raycalib.errors import StorageError
from raycalib.judging.chat import Answered, ChatClient
from raycalib.judging.circuit import Circuit
from raycalib.judging.desk import Desk
from raycalib.judging.failures import FailureKind, RequestFailedError
from raycalib.judging.in_doubt import InDoubt
from raycalib.judging.ledger import Wish
from raycalib.judging.outcome import Outcome, Tally, replied
from raycalib.judging.permits import Permit, PermitLine, StoppedError
from raycalib.judging.prices import Price
from raycalib.judging.prompt_versions import Messages, judge_prompt
from raycalib.judging.rate_headers import RateNote
from raycalib.judging.reply_cache import ReplyCache, reply_key
from raycalib.judging.row_underway import NoReplyError, RowUnderway
from raycalib.judging.settings import JudgeSettings
from raycalib.judging.trial import Dud, DudKind, dud_of

BUSY_IN_A_ROW = 5
CLOSE_S = 5
FLUSH_EVERY_S = 0.5
TOKENS_PER_MESSAGE = 16


class RemoteJudge:
    """Asks the server of the settings; any number of threads may call it at the same time.

    All calls together keep at most ``concurrency`` requests in flight; a row that waits to be asked again takes no
    place. Its event loop runs in a thread of its own, so that connections stay open between calls and it works wherever
    a loop is running already.
    """

    def __init__(self, settings: JudgeSettings, cache: ReplyCache, desk: Desk, price: Price | None) -> None:
        """Opens no connection yet."""
        self.settings, self.cache, self.desk, self.price = settings, cache, desk, price
        self.tally = Tally()
        self._circuit = Circuit(settings.outage_failures, settings.outage_s, settings.deadline_s)
        self._busy_in_a_row = 0
        self._parse = judge_prompt(settings.prompt).parse
        self._in_doubt = InDoubt(cache)
        self._chat: ChatClient | None = None
        self._opening, self._reading = asyncio.Lock(), asyncio.Lock()
        self._places = asyncio.Semaphore(settings.concurrency)
        self._underway: dict[str, asyncio.Event] = {}
        self._line = PermitLine(desk, settings.model)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a worker's process ends without saying so to what it built

    def replies(self, requests: Sequence[Messages]) -> list[Outcome]:
        """One outcome per request, in order; equal requests are asked once.

        Raises:
            StorageError: the cache cannot be read or written.
        """
        return asyncio.run_coroutine_threadsafe(self._replies(requests), self._loop).result()

    def close(self) -> None:
        """Closes connections, cache and loop; a second time does nothing."""
        atexit.unregister(self.close)
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._line.close(), self._loop).result(CLOSE_S)
        if self._chat is not None:
            asyncio.run_coroutine_threadsafe(self._chat.close(), self._loop).result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.cache.close()

    async def _replies(self, requests: Sequence[Messages]) -> list[Outcome]:
        async with self._reading:
            await asyncio.to_thread(self.cache.refresh)
            self._look_for_a_verdict()
        keys = [reply_key(messages) for messages in requests]
        outcomes: dict[str, Outcome] = {}
        missing: dict[str, Messages] = {}
        for key, messages in zip(keys, requests, strict=True):
            known = self.cache.get(key)
            if known is None:
                missing[key] = messages
            else:
                outcomes[key] = replied(known)
        self.tally.cached += sum(key in outcomes for key in keys)
        self.tally.damaged_cache_entries = self.cache.counts.damaged
        if missing:
            await self._ask_all(missing, outcomes)
        return [outcomes[key] for key in keys]

    def _look_for_a_verdict(self) -> None:
        """One that an earlier run paid for shows as well as a new one that this judge gives any."""
        if not self._in_doubt.is_over and self.cache.has(lambda reply: self._parse(reply.text).query_label is not None):
            self._told_verdict()

    def _told_verdict(self) -> None:
        if self._in_doubt.end():
            self._line.tell_verdict()

    async def _ask_all(self, missing: dict[str, Messages], outcomes: dict[str, Outcome]) -> None:
        async with self._opening:
            if self._chat is None:
                self._chat = ChatClient(self.settings, await self.desk.key())
        rows = iter(missing.items())
        n_askers = min(self.settings.concurrency, len(missing))
        askers = [asyncio.create_task(self._ask_rows(rows, outcomes)) for _ in range(n_askers)]
        keeper = asyncio.create_task(self._keep_replies())
        try:
            await asyncio.gather(*askers)
        finally:
            for task in (*askers, keeper):
                task.cancel()
            await asyncio.gather(*askers, keeper, return_exceptions=True)
            await self._line.flush()
            outcomes |= self._in_doubt.settle(missing, self._line.stop_reason)
            await asyncio.to_thread(self.cache.flush)

    async def _ask_rows(self, rows: Iterator[tuple[str, Messages]], outcomes: dict[str, Outcome]) -> None:
        for key, messages in rows:
            while (asked := self._underway.get(key)) is not None:  # by another call
                await asked.wait()
            known = self.cache.get(key)
            outcomes[key] = (
                replied(known)
                if known is not None
                else self._in_doubt.outcome(key) or await self._outcome(key, messages)
            )

    async def _outcome(self, key: str, messages: Messages) -> Outcome:
        """Asks one row and keeps its reply, one that is no verdict once it is known that the judge gives any."""
        done = self._underway[key] = asyncio.Event()
        try:
            answered = await self._ask(messages)
            reply = answered.reply
            if self._parse(reply.text).query_label is not None:
                self._told_verdict()
            elif self._in_doubt.take(key, replied(reply), reply):
                self._line.tell_dud(dud_of(reply.text, answered.finish_reason))
                return replied(reply)
            self.cache.put(key, reply)
            return replied(reply)
        except NoReplyError as error:
            if error.dud is not None and self._in_doubt.take(key, error.outcome):
                self._line.tell_dud(error.dud)
            return error.outcome
        finally:
            del self._underway[key]
            done.set()

    async def _keep_replies(self) -> None:
        """Writes replies while rows are asked; one that fails is tried again at the end."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if self.cache.wants_flush:
                with contextlib.suppress(StorageError):
                    await asyncio.to_thread(self.cache.flush)

    async def _ask(self, messages: Messages) -> Answered:
        """The reply to one row.

        Raises:
            NoReplyError: there is none.
        """
        row = RowUnderway(self.settings, self._circuit)
        wish = self._wish(messages)
        assert self._chat is not None
        while True:
            try:
                async with self._places:
                    permit = await self._line.acquire(wish)
                    began = time.monotonic()
                    self.tally.requests += 1
                    self.tally.retries += row.n_requests > 0
                    row.n_requests += 1
                    try:
                        return self._answered(await self._chat.ask(messages, row.timeout_s), permit)
                    except RequestFailedError as failure:
                        wait_s = self._failed(failure, permit, row, time.monotonic() - began)
                await self._line.sleep(wait_s)
            except StoppedError as stopped:
                raise NoReplyError(Outcome(reason=str(stopped), retryable=True)) from None

    def _answered(self, answered: Answered, permit: Permit) -> Answered:
        self._circuit.succeeded()
        self._busy_in_a_row = 0
        self._heed(answered.note)
        tokens, cost_usd = self._taken(answered, permit.wish)
        self._line.settle(permit, tokens, cost_usd)
        self.tally.tokens_in += answered.reply.tokens_in
        self.tally.tokens_out += answered.reply.tokens_out
        self.tally.cost_usd += cost_usd
        return answered

    def _taken(self, answered: Answered, wish: Wish) -> tuple[float, float]:
        """Tokens and dollars; what a server does not count, it is taken to have used the most of."""
        most_out = self.settings.max_output_tokens
        tokens_in, tokens_out = answered.usage.at_worst(wish.tokens - most_out, most_out)
        return tokens_in + tokens_out, self.price.cost_usd(tokens_in, tokens_out) if self.price else 0.0

    def _failed(self, failure: RequestFailedError, permit: Permit, row: "RowUnderway", seconds: float) -> float:
        """Books a failed request; returns the seconds to wait.

        Raises:
            StoppedError: no row should be asked any more.
            NoReplyError: this one should not.
        """
        wish = permit.wish
        tokens, cost_usd = (wish.tokens, wish.cost_usd) if failure.may_be_billed else (0.0, 0.0)
        self._line.settle(permit, tokens, cost_usd)
        self.tally.failed += 1
        self.tally.cost_usd += cost_usd
        self._heed(failure.note)
        if reason := self._reason_to_stop(failure):
            self._line.stop(reason)
            raise StoppedError(self._line.stop_reason)
        if failure.kind is FailureKind.ROW:
            refused = Outcome(reason=f"the judge's server refused this row: {failure.message}")
            raise NoReplyError(refused, Dud(kind=DudKind.REFUSED, text=failure.message))
        if failure.kind is FailureKind.BUSY and self._busy_in_a_row >= BUSY_IN_A_ROW and failure.retry_after_s:
            self._line.pause(failure.retry_after_s)  # busy for everybody, and not by chance for one row
        return row.wait_s(failure, seconds)

    def _reason_to_stop(self, failure: RequestFailedError) -> str:
        """Why no row should be asked any more after a failure; empty where others may succeed."""
        now, settings = time.monotonic(), self.settings
        if failure.kind is FailureKind.FATAL:
            return f"the judge's server refused: {failure.message}"
        if failure.kind is FailureKind.FAULT and self._circuit.failed(now):
            return (
                f"the judge's server failed {self._circuit.failures} times in a row in at least "
                f"{settings.outage_s:g} s: {failure.message}"
            )
        if failure.kind is FailureKind.BUSY:
            self._busy_in_a_row += 1
            if self._circuit.refused(now):
                return f"the judge's server was busy for all of {settings.deadline_s:g} s: {failure.message}"
            if self._busy_in_a_row >= BUSY_IN_A_ROW and (failure.retry_after_s or 0) > settings.deadline_s:
                return self._long_wait(failure.retry_after_s or 0)
        return ""

    def _heed(self, note: RateNote) -> None:
        """Takes over the server's limits, and pauses where nothing remains of them."""
        self._line.note(note)
        pause_s = max(note.requests.pause_s, note.tokens.pause_s)
        if pause_s > self.settings.deadline_s:
            self._line.stop(self._long_wait(pause_s))
        elif pause_s:
            self._line.pause(pause_s)

    def _long_wait(self, seconds: float) -> str:
        return (
            f"the judge's server asks for a wait of {seconds:,.0f} s, which is longer than judge.deadline_s "
            f"({self.settings.deadline_s:g})"
        )

    def _wish(self, messages: Messages) -> Wish:
        """The worst case: a token is at least one byte long."""
        n_bytes = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        tokens_in, tokens_out = n_bytes + TOKENS_PER_MESSAGE * len(messages), self.settings.max_output_tokens
        cost_usd = self.price.cost_usd(tokens_in, tokens_out) if self.price else 0.0
        return Wish(tokens=tokens_in + tokens_out, cost_usd=cost_usd)
