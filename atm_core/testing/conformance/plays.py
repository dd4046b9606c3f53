"""How the tests of the kit run tasks under a strategy, and what they look at in any case."""

from __future__ import annotations

import asyncio
import logging
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from atm_core.errors import TaskRejected
from atm_core.hookspecs import hookimpl
from atm_core.manager import TaskManager
from atm_core.task import Task, TaskState
from atm_core.testing.conformance.steps import SteppedLoop, run_in
from atm_core.testing.recorder import Recorder

if TYPE_CHECKING:
    from atm_core.testing.conformance.subject import Subject

__all__ = ["Load", "NoErrors", "Objection", "Piece", "Play", "WorkFailed", "check"]

T = TypeVar("T")


def check(holds: Any, message: str) -> None:
    """Fail the test with ``message`` unless it holds."""
    if not holds:
        raise AssertionError(message)


class WorkFailed(Exception):
    """What the work of the kit raises when it is to fail: which piece."""


class Objection(TaskRejected):
    """What a plugin of the kit refuses a task with."""


class Piece(NamedTuple):
    """One piece of work: when it is added, how long it runs, how it ends, and when it is cancelled, in seconds."""

    arrives: float = 0.0
    lasts: float = 0.25
    fails: bool = False
    cancelled_at: Optional[float] = None


Load = Sequence[Piece]


class Play:
    """A load under a stack of strategies, and what came of it.

    ``begun[n]`` and ``ended[n]`` are the times at which the body of the n-th piece began and came to its end, and
    ``tasks[n]`` its handle, or the exception that refused it.
    """

    def __init__(self, subject: Subject, load: Load, stack: Sequence[Any], before: Optional[Play] = None) -> None:
        self.subject = subject
        self.load = load
        if before is None:
            self.recorder = _Witness()
            self.manager = TaskManager([*stack, self.recorder], name="conformance")
        else:
            self.recorder, self.manager = before.recorder, before.manager
        self.tasks: List[Any] = [None] * len(load)
        self.begun: List[List[float]] = [[] for _ in load]
        self.ended: List[List[float]] = [[] for _ in load]
        self.cancelled: Set[int] = set()
        self.cancels_itself: Optional[Tuple[int, int]] = None  # which piece, at which of its places
        self.eager = True
        self.origin = 0.0

    def again(self, load: Load) -> Play:
        """Another load in the same manager."""
        return Play(self.subject, load, (), self)

    async def run(self) -> None:
        """Start the manager, add and cancel every piece at its time, and wait for the end of all."""
        await self.manager.idle()
        await self.feed()
        await self.join()

    async def feed(self) -> None:
        """Add and cancel every piece at its time."""
        loop = asyncio.get_running_loop()
        self.origin = loop.time()
        adds = [(piece.arrives, 0, n) for n, piece in enumerate(self.load)]
        cancels = [(piece.cancelled_at, 1, n) for n, piece in enumerate(self.load) if piece.cancelled_at is not None]
        for at, cancels_it, n in sorted(adds + cancels):
            if at > loop.time() - self.origin:
                await asyncio.sleep(self.origin + at - loop.time())
            if cancels_it:
                self.cancel(n)
            else:
                self.add(n)

    def add(self, n: int) -> None:
        """Hand in the n-th piece."""
        try:
            self.tasks[n] = self.subject.submit(self.manager, self.body(n), n)
        except TaskRejected as refusal:
            self.tasks[n] = refusal

    def cancel(self, n: int) -> bool:
        """Cancel the n-th piece, if it is in; False if it has come to its end."""
        task = self.tasks[n]
        if not isinstance(task, Task):
            return task is None
        if task.cancel():
            self.cancelled.add(n)
            return True
        return False

    def body(self, n: int) -> Callable[[], Any]:
        """The work of the n-th piece."""
        piece = self.load[n]

        async def body() -> Any:
            loop = asyncio.get_running_loop()
            self.begun[n].append(loop.time() - self.origin)
            self._reached(n, 0)
            await asyncio.sleep(0)
            self._reached(n, 1)
            await asyncio.sleep(piece.lasts)
            self._reached(n, 2)
            self.ended[n].append(loop.time() - self.origin)
            if piece.fails:
                raise WorkFailed(n)
            return ("value of", n)

        body.__qualname__ = f"piece_{n}"
        return body

    def _reached(self, n: int, place: int) -> None:
        if self.cancels_itself == (n, place):
            self.cancel(n)

    async def join(self) -> None:
        """Wait until everything is settled; what recurs for ever is cancelled."""
        await self._patiently(self.manager.join())
        for n in range(len(self.load)):
            self.cancel(n)
        await self._patiently(self._settled())

    async def _settled(self) -> None:
        for task in self.handles():
            await task.wait()
            if task.state is TaskState.FAILED:
                task.exception()  # looked at, so that nobody reports it

    async def _patiently(self, waits: Coroutine[Any, Any, None]) -> None:
        waiting = asyncio.ensure_future(waits)
        await asyncio.wait([waiting], timeout=self.subject.patience_seconds)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        stuck = [task for task in self.handles() if not task.done()]
        reasons = "; ".join(str(self.manager.explain(task)) for task in stuck[:3])
        after = f"after {self.subject.patience_seconds:g} s"
        raise AssertionError(f"{len(stuck)} tasks are still not settled {after}: {reasons}")

    def handles(self) -> List[Task[Any]]:
        """The handles of all pieces that were let in."""
        return [task for task in self.tasks if isinstance(task, Task)]

    def in_loop(
        self, main: Coroutine[Any, Any, T], at: Optional[int] = None, act: Optional[Callable[[], Any]] = None
    ) -> T:
        """Run ``main`` in a new loop; the framework must not log an error meanwhile."""
        with NoErrors():
            return run_in(SteppedLoop(self.recorder.rows, at, act, self.eager), main)

    def look_at_results(self) -> None:
        """Each result is the work's own; no task is lost; none ran twice unless ``atm_again`` said so."""
        self.recorder.all_settled_once()
        self.recorder.everything_given_back()
        for n, task in enumerate(self.tasks):
            what = f"piece {n} ({self.load[n]})"
            if not isinstance(task, Task):
                self._check_refusal(what, task)
                continue
            check(task.done(), f"{what} was never settled")
            runs, allowed = len(self.begun[n]), 1
            if "again" in self.subject.kind:
                allowed += self.recorder.again.get(task, 0)
            check(runs <= allowed, f"{what} ran {runs} times, where {allowed} was allowed")
            self._look_at_result(n, task, what)

    def _look_at_result(self, n: int, task: Task[Any], what: str) -> None:
        if task.state is TaskState.SUCCEEDED:
            check(self.begun[n], f"{what} has a result, but never ran")
            check(not self.load[n].fails, f"{what} succeeded, though its work raised")
            value = task.result()
            check(value == ("value of", n), f"{what} has the result {value!r}, which is not its own")
        elif task.state is TaskState.FAILED:
            error = task.exception()
            if isinstance(error, WorkFailed):
                check(error.args == (n,), f"{what} has the failure of another: {error!r}")
            else:
                self._check_refusal(what, error)
        else:
            check(n in self.cancelled, f"{what} was cancelled by nobody")

    def _check_refusal(self, what: str, error: Any) -> None:
        why = f"{what} failed with {error!r}, caused by {getattr(error, '__cause__', None)!r}"
        if isinstance(error, Objection):
            return
        check(isinstance(error, TaskRejected), why)
        check("rejects" in self.subject.kind, f"{why}: add 'rejects' to kind if it may be")

    def outcomes(self) -> List[Any]:
        """Of each piece: when its body began, when it ended, and how it was settled."""
        return [
            (
                self.begun[n],
                self.ended[n],
                task.state.value if isinstance(task, Task) else type(task).__name__,
            )
            for n, task in enumerate(self.tasks)
        ]


class _Witness(Recorder):
    """A recorder that also counts for which tasks ``atm_again`` said so."""

    def __init__(self) -> None:
        super().__init__()
        self.again: Dict[Task[Any], int] = {}

    @hookimpl(hookwrapper=True)
    def atm_again(self, task: Task[Any]) -> Any:
        """Look at the answer."""
        answer = yield
        if answer.excinfo is None and answer.get_result() is not None:
            self.again[task] = self.again.get(task, 0) + 1


class NoErrors(logging.Handler):
    """Fails a test in which the framework logs an error, such as a hook that raised.

    The log itself goes no further: a hook that fails for each of a thousand tasks would bury the message.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._count = 0
        self._first = ""
        self._log = logging.getLogger("atm_core")
        self._propagates = self._log.propagate

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().endswith("never retrieved"):  # which may be the garbage of another test
            return
        self._count += 1
        self._first = self._first or self.format(record)

    def __enter__(self) -> NoErrors:
        self._log.addHandler(self)
        self._log.propagate = False
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._propagates
        if kind is None or not issubclass(kind, AssertionError):
            check(not self._count, f"the framework logged {self._count} errors, the first of them: {self._first}")
