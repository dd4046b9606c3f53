"""A record of what a manager did, with ready assertions."""

from __future__ import annotations

from collections import Counter
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Hashable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

from atm_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["Recorder", "Row"]

Key = Union[None, str, "Callable[[Task[Any]], Hashable]"]


class Row(NamedTuple):
    """One hook call: about which task, which hook, and when, in seconds of the loop's clock."""

    task: Task[Any]
    hook: str
    time: float


class Recorder:
    """A plugin that keeps what happened to each task as rows, and asserts what must hold of them.

    ::

        recorder = Recorder()
        async with TaskManager([FixedWindowStrategy(10, 1.0), recorder]) as manager:
            ...
        recorder.never_more_than(19, 1.0)
        recorder.all_settled_once()

    An assertion that does not hold raises ``AssertionError`` and names the tasks and the times. One row a hook and task
    is kept, and with it the task, until :meth:`clear`.
    """

    def __init__(self) -> None:
        self.rows: List[Row] = []

    # Last, so that no other plugin can object any more to what stands in a row.

    @hookimpl(trylast=True)
    def atm_admitted(self, task: Task[Any], now: float) -> None:
        """The task is in."""
        self.rows.append(Row(task, "atm_admitted", now))

    @hookimpl(trylast=True)
    def atm_started(self, task: Task[Any], now: float) -> None:
        """An attempt was decided on."""
        self.rows.append(Row(task, "atm_started", now))

    @hookimpl(trylast=True)
    def atm_began(self, task: Task[Any], now: float) -> None:
        """Its first step runs."""
        self.rows.append(Row(task, "atm_began", now))

    @hookimpl(trylast=True)
    def atm_finished(self, task: Task[Any], now: float) -> None:
        """The attempt has ended."""
        self.rows.append(Row(task, "atm_finished", now))

    @hookimpl(trylast=True)
    def atm_settled(self, task: Task[Any], now: float) -> None:
        """The outcome is final."""
        self.rows.append(Row(task, "atm_settled", now))

    def clear(self) -> None:
        """Forget every row."""
        self.rows.clear()

    def times(self, hook: str = "atm_began", task: Optional[Task[Any]] = None) -> List[float]:
        """When ``hook`` was called, for ``task`` or for all, in the order of the calls."""
        return [row.time for row in self.rows if row.hook == hook and task in (None, row.task)]

    def never_more_than(self, n: int, window_seconds: float, *, key: Key = None) -> None:
        """At most ``n`` attempts began in any window of this length, wherever it lies.

        A window holds its first instant and not its last: what began exactly ``window_seconds`` later is outside.

        Args:
            n: How many.
            window_seconds: The length of the window.
            key: A metadata field or a function of the task: so many for each value.
        """
        if not window_seconds > 0:
            raise ValueError(f"window_seconds must be greater than 0, got {window_seconds!r}")
        for who, began in self._by_key("atm_began", key):
            for first, beyond in zip(began, began[n:]):
                if beyond.time < first.time + window_seconds:
                    late = [row.task for row in began if first.time <= row.time <= beyond.time]
                    raise AssertionError(
                        f"{len(late)} attempts began{who} from {first.time:.9g} s to {beyond.time:.9g} s, in less than "
                        f"{window_seconds:g} s, where at most {n} may: {_names(late)}"
                    )

    def max_running(self, n: int, *, key: Key = None) -> None:
        """At most ``n`` attempts ran at once, from ``atm_started`` to ``atm_finished``.

        Where running tasks lend their slots while they wait for queued ones, more may be on their way.

        Args:
            n: How many.
            key: A metadata field or a function of the task: so many for each value.
        """
        for who, rows in self._by_key(("atm_started", "atm_finished"), key):
            running: Dict[Task[Any], None] = {}
            for row in rows:
                if row.hook == "atm_finished":
                    running.pop(row.task, None)
                    continue
                running[row.task] = None
                if len(running) > n:
                    raise AssertionError(
                        f"{len(running)} tasks ran at once{who} at {row.time:.9g} s, "
                        f"where at most {n} may: {_names(running)}"
                    )

    def min_gap(self, seconds: float, *, measure_from: str = "start", key: Key = None) -> None:
        """At least so long lay between one attempt and the next.

        Args:
            seconds: How long.
            measure_from: ``"start"``: between two begins. ``"completion"``: between an end and the next begin.
            key: A metadata field or a function of the task: the gap is kept for each value on its own.
        """
        if measure_from not in ("start", "completion"):
            raise ValueError(f"measure_from must be 'start' or 'completion', got {measure_from!r}")
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or greater, got {seconds!r}")
        for who, rows in self._by_key(("atm_began", "atm_finished"), key):
            running: Dict[Task[Any], None] = {}
            last: Optional[Row] = None
            for row in rows:
                if row.hook == "atm_finished":
                    if running.pop(row.task, row) is None and measure_from == "completion":
                        last = row
                    continue
                if measure_from == "completion" and running:
                    raise AssertionError(f"{row.task!r} began{who} at {row.time:.9g} s while {_names(running)} ran")
                if last is not None and row.time < last.time + seconds:
                    raise AssertionError(
                        f"{row.task!r} began{who} at {row.time:.9g} s, less than {seconds:g} s after "
                        f"the {measure_from} of {last.task!r} at {last.time:.9g} s"
                    )
                running[row.task] = None
                if measure_from == "start":
                    last = row

    def order(self, *tasks: Union[Task[Any], str]) -> None:
        """These tasks began in this order, each with its first attempt; others may have begun in between.

        Args:
            *tasks: Tasks, or the ``"name"`` in their metadata.
        """
        began: Dict[Any, int] = {}
        for row in self.rows:
            if row.hook == "atm_began":
                began.setdefault(row.task, len(began))
        place = {
            **began,
            **{task.metadata["name"]: at for task, at in began.items() if "name" in task.metadata},
        }
        missing = [task for task in tasks if task not in place]
        if missing:
            raise AssertionError(f"these never began: {_names(missing)}")
        expected = list(tasks)
        actual = sorted(expected, key=lambda task: place[task])
        if actual != expected:
            raise AssertionError(f"they began in the order {_names(actual)}, not {_names(expected)}")

    def all_settled_once(self) -> None:
        """Every admitted task was settled, exactly once, and after that nothing happened to it any more."""
        admitted: List[Task[Any]] = []
        settled: Dict[Task[Any], float] = {}
        for row in self.rows:
            if row.task in settled:
                raise AssertionError(
                    f"{row.task!r} was settled at {settled[row.task]:.9g} s, "
                    f"and then came {row.hook} at {row.time:.9g} s"
                )
            if row.hook == "atm_settled":
                settled[row.task] = row.time
            elif row.hook == "atm_admitted":
                admitted.append(row.task)
        open_ = [task for task in admitted if task not in settled]
        if open_:
            raise AssertionError(f"{len(open_)} of {len(admitted)} tasks were never settled: {_names(open_)}")

    def everything_given_back(self) -> None:
        """Each start was followed by exactly one finish, and by at most one begin in between."""
        running: Dict[Task[Any], Counter[str]] = {}
        for row in self.rows:
            now = f"for {row.task!r} at {row.time:.9g} s"
            if row.hook == "atm_started":
                if row.task in running:
                    raise AssertionError(f"a second atm_started without atm_finished {now}")
                running[row.task] = Counter()
            elif row.hook in ("atm_began", "atm_finished"):
                if row.task not in running:
                    raise AssertionError(f"{row.hook} without atm_started {now}")
                running[row.task][row.hook] += 1
                if running[row.task]["atm_began"] > 1:
                    raise AssertionError(f"a second atm_began in one attempt {now}")
                if row.hook == "atm_finished":
                    del running[row.task]
        if running:
            raise AssertionError(f"{len(running)} tasks were started and never finished: {_names(running)}")

    def _by_key(self, hooks: Union[str, Tuple[str, ...]], key: Key) -> Iterator[Tuple[str, List[Row]]]:
        """The rows of ``hooks`` for each key, with words that name the key."""
        hooks = (hooks,) if isinstance(hooks, str) else hooks
        found: Dict[Hashable, List[Row]] = {}
        for row in self.rows:
            if row.hook in hooks:
                at = None if key is None else row.task.metadata.get(key) if isinstance(key, str) else key(row.task)
                found.setdefault(at, []).append(row)
        for at, rows in found.items():
            yield ("" if key is None else f" for {at!r}"), rows

    def __str__(self) -> str:
        return "\n".join(f"{row.time:12.6f}  {row.hook:13}  {row.task!r}" for row in self.rows)


def _names(tasks: Any, most: int = 8) -> str:
    shown = [repr(task) for task in tasks]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
