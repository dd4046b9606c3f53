"""What the author of a strategy says about it, and how the tests of the kit run tasks under it."""

from __future__ import annotations

import asyncio
import logging
from typing import (
    Any,
    Callable,
    Collection,
    Coroutine,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from atm_core.calls import HookCalls
from atm_core.errors import TaskRejected
from atm_core.hookspecs import hookimpl
from atm_core.manager import TaskManager
from atm_core.plugins import has_hooks, make_plugin_manager, register
from atm_core.task import Task, TaskState
from atm_core.testing.conformance.steps import SteppedLoop, run_in
from atm_core.testing.recorder import Recorder

__all__ = ["KINDS", "Load", "Piece", "Play", "Subject", "WorkFailed", "check", "hooks_of"]

T = TypeVar("T")

KINDS = ("gate", "order", "holds", "again", "rejects")

Settings = Mapping[str, Any]


def check(holds: Any, message: str) -> None:
    """Fail the test with ``message`` unless it holds."""
    if not holds:
        raise AssertionError(message)


class WorkFailed(Exception):
    """What the work of the kit raises when it is to fail."""


class Piece(NamedTuple):
    """One piece of work: when it is added, how long it runs, how it ends, and when it is cancelled, in seconds."""

    arrives: float = 0.0
    lasts: float = 0.25
    fails: bool = False
    cancelled_at: Optional[float] = None


Load = Sequence[Piece]


def hooks_of(strategy: Any) -> Optional[HookCalls]:
    """The hooks of a strategy alone; None for one that is written against the four methods."""
    plugins = make_plugin_manager()
    if not has_hooks(plugins, strategy):
        return None
    register(plugins, strategy)
    return HookCalls(plugins)


def _no_factory(**settings: Any) -> Any:
    raise NotImplementedError("say `factory = YourStrategy` in your subclass of StrategyConformance")


class Subject:
    """The strategy under test, as its author describes it."""

    name: str = ""
    factory: Any = staticmethod(_no_factory)
    kind: Collection[str] = frozenset()
    valid: Sequence[Settings] = ({},)
    invalid: Sequence[Settings] = ()
    roomy: Optional[Settings] = None
    rest_seconds: float = 3600.0
    patience_seconds: float = 86400.0
    remembers: bool = False

    def metadata(self, n: int) -> Optional[Mapping[str, Any]]:
        """What the n-th task carries."""
        return None

    def submit(self, manager: TaskManager, work: Callable[[], Any], n: int) -> Task[Any]:
        """Hand in the n-th task."""
        return manager.add_task(work, self.metadata(n))

    def promise(self, recorder: Recorder, settings: Settings) -> None:
        """Assert what the strategy promises."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run each test that asks for ``settings`` with each of ``valid``."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", list(self.valid), ids=[_words(one) for one in self.valid])

    def play(self, load: Load, stack: Sequence[Any]) -> Play:
        """Run ``load`` in virtual time under the strategies of ``stack``, and end everything."""
        play = Play(self, load, stack)

        async def main() -> None:
            await play.run()
            await play.manager.aclose()

        play.in_loop(main())
        play.look_at_results()
        return play


class Play:
    """A load under a stack of strategies, and what came of it.

    ``begun[n]`` and ``ended[n]`` are the times at which the body of the n-th piece began and came to its end, and
    ``tasks[n]`` its handle, or the exception that refused it.
    """

    def __init__(
        self, subject: Subject, load: Load, stack: Sequence[Any], before: Optional[Play] = None
    ) -> None:
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
        cancels = [
            (piece.cancelled_at, 1, n) for n, piece in enumerate(self.load) if piece.cancelled_at is not None
        ]
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

    def cancel(self, n: int) -> None:
        """Cancel the n-th piece, if it is in."""
        if isinstance(self.tasks[n], Task):
            self.cancelled.add(n)
            self.tasks[n].cancel()

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
                raise WorkFailed(f"piece {n} fails, as it is meant to")
            return ("value of", n)

        body.__qualname__ = f"piece_{n}"
        return body

    def _reached(self, n: int, place: int) -> None:
        if self.cancels_itself == (n, place):
            self.cancel(n)

    async def join(self) -> None:
        """Wait until everything is settled; what recurs for ever is cancelled."""
        joining = asyncio.ensure_future(self.manager.join())
        await asyncio.wait([joining], timeout=self.subject.patience_seconds)
        if not joining.done():
            joining.cancel()
            stuck = [task for task in self.handles() if not task.done()]
            reasons = "; ".join(str(self.manager.explain(task)) for task in stuck[:3])
            raise AssertionError(
                f"{len(stuck)} tasks are still not settled after {self.subject.patience_seconds:g} s: {reasons}"
            )
        await joining
        for n in range(len(self.load)):
            self.cancel(n)
        for task in self.handles():
            if task.state is TaskState.FAILED:
                task.exception()  # looked at, so that nobody reports it

    def handles(self) -> List[Task[Any]]:
        """The handles of all pieces that were let in."""
        return [task for task in self.tasks if isinstance(task, Task)]

    def in_loop(
        self, main: Coroutine[Any, Any, T], at: Optional[int] = None, act: Optional[Callable[[], Any]] = None
    ) -> T:
        """Run ``main`` in a new loop; the framework must not log an error meanwhile."""
        with _Errors():
            return run_in(SteppedLoop(at, act, self.recorder.rows), main)

    def look_at_results(self) -> None:
        """Each result is the work's own; no task is lost; none ran twice unless ``atm_again`` said so."""
        may_reject, may_repeat = "rejects" in self.subject.kind, "again" in self.subject.kind
        self.recorder.all_settled_once()
        self.recorder.everything_given_back()
        for n, (piece, task) in enumerate(zip(self.load, self.tasks)):
            what = f"piece {n} ({piece})"
            if not isinstance(task, Task):
                check(may_reject, f"{what} was refused, by {task!r}: add 'rejects' to kind if it may be")
                continue
            check(task.done(), f"{what} was never settled")
            allowed = 1 + (self.recorder.again.get(task, 0) if may_repeat else 0)
            check(
                len(self.begun[n]) <= allowed,
                f"{what} ran {len(self.begun[n])} times, where {allowed} was allowed",
            )
            if task.state is TaskState.SUCCEEDED:
                check(not piece.fails, f"{what} succeeded, though its work raised")
                check(
                    task.result() == ("value of", n),
                    f"{what} has the result {task.result()!r}, which is not its own",
                )
                check(self.begun[n], f"{what} has a result, but never ran")
            elif task.state is TaskState.FAILED:
                error = task.exception()
                if isinstance(error, WorkFailed):
                    check(
                        str(error).startswith(f"piece {n} "), f"{what} has the failure of another: {error!r}"
                    )
                else:
                    check(
                        isinstance(error, TaskRejected),
                        f"{what} failed with {error!r}, caused by {getattr(error, '__cause__', None)!r}",
                    )
                    check(
                        may_reject, f"{what} was rejected, by {error!r}: add 'rejects' to kind if it may be"
                    )
            elif n not in self.cancelled:
                check(False, f"{what} was cancelled by nobody")

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


class _Errors(logging.Handler):
    """Fails a test in which the framework logs an error, such as a hook that raised."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not message.endswith("never retrieved"):  # which may be the garbage of another test
            self.messages.append(message)

    def __enter__(self) -> _Errors:
        logging.getLogger("atm_core").addHandler(self)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        logging.getLogger("atm_core").removeHandler(self)
        if kind is None or not issubclass(kind, AssertionError):
            check(not self.messages, "the framework logged: " + "; ".join(self.messages[:3]))


def _words(settings: Settings) -> str:
    return ",".join(f"{name}={value}" for name, value in settings.items()) or "defaults"
