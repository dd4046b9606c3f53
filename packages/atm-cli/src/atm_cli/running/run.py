"""One run: inputs through a manager into a sink, until they end or someone stops it."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import time
from typing import Any, Callable, Deque, List, Optional

from atm_cli.failure import Failure, describe
from atm_cli.running.clerk import Clerk, Finished
from atm_cli.running.inputs import Inputs, Record
from atm_cli.running.journal import Journal
from atm_cli.running.pump import Pump
from atm_cli.running.sink import Sink
from atm_core import TaskManager

__all__ = ["Run"]

#: What a strategy remembers of past starts: after a crash nothing may start before that is over.
_MEMORIES = ("window_seconds", "delay_seconds")
_BEAT_SECONDS = 1.0
_SILENCE_SECONDS = 1.5  # in which nothing can have begun that the journal has not heard of


class Run:
    """Runs a function on each input.

    Args:
        manager: With its strategies; not started.
        call: The function, which gives an awaitable.
        inputs: What to run it on.
        sink: Where results go.
        journal: What is finished already.
        max_in_flight: How many inputs may be queued, running, or finished and not yet written.
        fail_fast: Stop at the first failure.
    """

    def __init__(
        self,
        manager: TaskManager,
        call: Callable[[Any], Any],
        inputs: Inputs,
        sink: Sink,
        journal: Optional[Journal] = None,
        *,
        max_in_flight: int = 1000,
        fail_fast: bool = False,
    ) -> None:
        self.manager = manager
        self.inputs = inputs
        self.clerk = Clerk(manager, call, self._on_finished, self._on_began)
        self.done = self.failed = 0  # of this run's
        self.resumed = 0 if journal is None else journal.finished
        self.failed_before = 0 if journal is None else journal.failed
        self.signalled = False  # stopped by the user
        self.skipped = 0  # resumed ones that have gone by in the inputs
        self.phase = "running"  # or: resuming, draining, cancelling
        self.resumes_at = 0.0  # POSIX time
        self.held_back_by = ""
        self.failure: Optional[Failure] = None  # why it ended before its end
        self.first_error: Optional[Finished] = None
        self._sink = sink
        self._journal = journal
        self._max_in_flight = max_in_flight
        self._fail_fast = fail_fast
        self._in_flight = 0
        self._results: Deque[Finished] = collections.deque()
        self._disk = concurrent.futures.ThreadPoolExecutor(1)  # everything that blocks, one after the other
        self._room: Optional[asyncio.Future[None]] = None
        self._news: Optional[asyncio.Future[None]] = None
        self._stopped: Optional[asyncio.Future[None]] = None
        self._stops: List[asyncio.Future[None]] = []
        self._all_settled = False
        self._noted_at = 0.0  # when the journal was last told that this run lives

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before its end."""
        return self.phase in ("draining", "cancelling")

    @property
    def failed_in_all(self) -> int:
        """Failures in the whole output."""
        return self.failed + self.failed_before

    def drain(self) -> None:
        """Start nothing more, and let what runs end. For the loop's thread."""
        self._stop("draining", None)

    def cancel(self) -> None:
        """Cancel what runs. For the loop's thread."""
        self._stop("cancelling", 0.0)

    async def go(self) -> None:
        """Run until the inputs end, or :meth:`drain` or :meth:`cancel` have stopped it; everything is closed then.

        ``failure`` says whether the inputs, the journal or the output failed; everything finished before is kept.
        """
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        pump: Pump[Record] = Pump(self.inputs, self._max_in_flight)
        work, writer, beat = (loop.create_task(one) for one in (self._work(pump), self._write(), self._beat()))
        await asyncio.wait({work, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
        pump.close()
        while not all(stop.done() for stop in self._stops):
            await asyncio.wait(self._stops)
        await self._end(work)
        await self.manager.aclose(timeout=0)
        self._all_settled = True
        self._tell_writer()
        await asyncio.wait({writer})
        await self._end(beat)
        await self._close()

    async def _work(self, pump: Pump[Record]) -> None:
        try:
            await self.manager.idle()
            while True:
                records = await pump.take()
                if not records:
                    break
                for record in await self._unfinished(records):
                    await self._submit(record)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
        if self.manager.running:
            await self.manager.join()

    async def _unfinished(self, records: List[Record]) -> List[Record]:
        if self._journal is None:
            return records
        known = await self._on_disk(self._journal.knows, records)
        self.skipped += sum(known)
        return [record for record, is_known in zip(records, known) if not is_known]

    async def _submit(self, record: Record) -> None:
        if self._journal is not None and not self._noted_at:
            await self._let_windows_pass(self._journal)
            await self._note_alive()
        while self._in_flight >= self._max_in_flight:
            await self._until_room()
        self._in_flight += 1
        while not self.clerk.submit(record):
            await self._until_room()

    async def _let_windows_pass(self, journal: Journal) -> None:
        """Before the first start: the run before this one may have used up the windows that are open now."""
        if not journal.alive_at:
            return
        latest = min(time.time(), journal.alive_at + (0.0 if journal.clean else _SILENCE_SECONDS))
        for name, strategy in self.manager.strategies.items():
            for memory in _MEMORIES:
                seconds = getattr(strategy, memory, None)
                if isinstance(seconds, (int, float)) and latest + seconds > self.resumes_at:
                    self.resumes_at, self.held_back_by = latest + seconds, name
        left = self.resumes_at - time.time()
        if left > 0:
            self.phase = "resuming"
            await asyncio.sleep(left)
            self.phase = "running"

    def _stop(self, phase: str, timeout: Optional[float]) -> None:
        if self._stopped is None or self._all_settled:
            return
        self.phase = phase
        self.manager.pause()  # at once: stop() takes effect a turn of the loop later
        self._stops.append(asyncio.ensure_future(self.manager.stop(timeout)))
        if not self._stopped.done():
            self._stopped.set_result(None)

    def _on_began(self) -> None:
        if self._journal is not None and time.time() - self._noted_at > _SILENCE_SECONDS:
            self._noted_at = time.time()
            self._journal.alive()  # the loop was held up for long: nothing may begin before the journal knows
        self._make_room()

    def _on_finished(self, finished: Finished) -> None:
        if finished.outcome.cancelled and (self.interrupted or self._all_settled):
            self._in_flight -= 1  # it did not finish: it is left for the next run
            self._make_room()
            return
        self.done += 1
        if finished.failed:
            self.failed += 1
            if self.first_error is None:
                self.first_error = finished
        self._results.append(finished)
        self._tell_writer()
        if finished.failed and self._fail_fast and not self.interrupted:
            self.cancel()

    async def _write(self) -> None:
        """Whatever has been finished while the last batch was written is the next one."""
        while True:
            while not self._results:
                if self._all_settled:
                    return
                self._news = asyncio.get_running_loop().create_future()
                await self._news
            batch, began = list(self._results), time.time()
            self._results.clear()
            try:
                dealt_with = await self._on_disk(self._sink_write, batch)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._fail(error)
                self.cancel()
                return
            self._noted_at = began
            self._in_flight -= dealt_with
            self._make_room()

    def _sink_write(self, batch: List[Finished]) -> int:
        return self._sink.write([finished.entry() for finished in batch])

    async def _beat(self) -> None:
        """Tell the journal again and again that tasks may be starting; after a crash it knows until when."""
        while self._journal is not None:
            await asyncio.sleep(_BEAT_SECONDS / 4)
            if self._noted_at and time.time() - self._noted_at >= _BEAT_SECONDS:
                try:
                    await self._note_alive()
                except Failure as failure:
                    self._fail(failure)
                    self.cancel()
                    return

    async def _note_alive(self) -> None:
        now = time.time()
        await self._on_disk(self._sink.alive)
        self._noted_at = now

    async def _end(self, job: asyncio.Future[None]) -> None:
        job.cancel()
        await asyncio.wait({job})

    async def _close(self) -> None:
        try:
            if self._noted_at and self.failure is None:
                await self._on_disk(self._sink.alive, True)
            await self._on_disk(self._sink.finish)
        except Failure as failure:
            self._fail(failure)
        self._disk.shutdown(wait=False)
        self.inputs.close()

    def _fail(self, error: Exception) -> None:
        """The first one counts: others follow from it."""
        self.failure = self.failure or (error if isinstance(error, Failure) else Failure(describe(error)))

    async def _on_disk(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call, *args)

    async def _until_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        await self._room

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _tell_writer(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
