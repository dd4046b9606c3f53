"""The kit tests itself: right strategies pass all of it; each of its tests catches one that is broken on purpose."""

from __future__ import annotations

import asyncio
import math
import random
import re
import sys
from collections import deque
from typing import Any, Dict, List, Tuple

import pytest

from atm_core import BaseStrategy, Outcome, Settings, TaskRejected, hookimpl
from atm_core.testing import StrategyConformance

INSTALLED = ["test_it_is_found_by_its_entry_point", "test_importing_it_does_no_work"]
TESTS = [name for name in dir(StrategyConformance) if name.startswith("test_")]


class Limit:
    """At most ``most`` at once: a gate as it should be.

    Args:
        most: How many.
    """

    def __init__(self, most: int = 2) -> None:
        with Settings("Limit") as check:
            self.most = check.count("most", most)
        self.running = 0

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return now if self.running < self.most else math.inf

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        self.running += 1

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= 1


class LastFirst:
    """The youngest first."""

    def __init__(self) -> None:
        self.count = 0

    @hookimpl
    def atm_order(self, task: Any) -> Any:
        self.count -= 1
        return self.count


class Once:
    """One more attempt after a failure, half a second later."""

    @hookimpl
    def atm_again(self, task: Any, outcome: Any, now: float) -> Any:
        return now + 0.5 if outcome.failed and task.attempts < 2 else None


class Pairs:
    """Tasks start two by two, or when the first of them has waited for a second."""

    def __init__(self) -> None:
        self.kept: Dict[Any, None] = {}
        self.timer: Any = None
        self.manager: Any = None

    @hookimpl
    def atm_hold(self, manager: Any, task: Any) -> Any:
        self.manager = manager
        self.kept[task] = None
        if len(self.kept) == 2:
            self.let_go()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(1.0, self.let_go)
        return True

    @hookimpl
    def atm_settled(self, task: Any) -> Any:
        self.kept.pop(task, None)

    @hookimpl
    def atm_manager_stopped(self) -> Any:
        self.let_go()

    def let_go(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        kept, self.kept = self.kept, {}
        for task in kept:
            self.manager.release(task)


class Queue(BaseStrategy):
    """First in, first out, by the four methods alone."""

    def __init__(self) -> None:
        self.tasks: Any = deque()

    def add_task(self, task: Any) -> None:
        self.tasks.append(task)

    def get_next_task(self) -> Any:
        return self.tasks.popleft() if self.tasks else None

    async def get_sleep_interval(self) -> float:
        return 0.1

    async def on_task_done(self) -> None:
        return None


class Picky:
    """Refuses a task while four wait or run."""

    def __init__(self) -> None:
        self.open: Dict[Any, None] = {}

    @hookimpl
    def atm_admit(self, task: Any) -> Any:
        if len(self.open) == 4:
            raise TaskRejected("four is enough")

    @hookimpl
    def atm_admitted(self, task: Any) -> Any:
        self.open[task] = None

    @hookimpl
    def atm_settled(self, task: Any) -> Any:
        del self.open[task]


class LimitTests(StrategyConformance):
    """The kit as the author of ``Limit`` would use it."""

    name = "limit"
    factory = Limit
    kind = {"gate"}
    valid = [{"most": 2}]
    invalid = [{"most": 0}]


def kit(factory: Any, kind: str = "gate", **more: Any) -> Any:
    """The tests of a strategy without settings."""
    described = {
        "name": "sample",
        "factory": staticmethod(factory),
        "kind": {kind},
        "valid": [{}],
        "invalid": [],
    }
    return type("SampleTests", (StrategyConformance,), {**described, **more})()


def apply(tests: Any, test: str, capsys: Any) -> None:
    """Run one test of the kit, as pytest would."""
    function = getattr(tests, test)
    named = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = {"capsys": capsys} if "capsys" in named else {}
    for settings in tests.valid if "settings" in named else [None]:
        function(**given, **({"settings": settings} if "settings" in named else {}))


RIGHT = {
    "gate": LimitTests(),
    "order": kit(LastFirst, "order"),
    "again": kit(Once, "again"),
    "holds": kit(Pairs, "holds"),
    "four methods": kit(Queue, "holds"),
    "rejects": kit(Picky, "rejects"),
}


@pytest.mark.parametrize("test", [test for test in TESTS if test not in INSTALLED])
@pytest.mark.parametrize("right", list(RIGHT))
def test_a_right_strategy_passes(right: str, test: str, capsys: Any) -> None:
    apply(RIGHT[right], test, capsys)


# Broken on purpose; each docstring says how.


class Undocumented:
    def __init__(self, most: int = 2) -> None:
        pass


class Unexplained:
    """Does not say what its setting means."""

    def __init__(self, amount: int = 2) -> None:
        pass


class AnyKeyword:
    """Takes ``settings`` of every name."""

    def __init__(self, **settings: int) -> None:
        pass


class Untyped:
    """Has no annotation for ``most``."""

    def __init__(self, most=2):  # type: ignore[no-untyped-def]  # which is the point
        pass


class NeedsALoop(Limit):
    """Asks for the running loop in its constructor."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.loop = asyncio.get_running_loop()


class AcceptsAll(Limit):
    """Checks nothing."""

    def __init__(self, most: int = 2) -> None:
        self.most, self.running = most, 0


class SaysLittle(Limit):
    """Its error does not tell the value."""

    def __init__(self, most: int = 2) -> None:
        if most < 1:
            raise ValueError("most is wrong")
        super().__init__(most)


class ReservesWhenAsked(Limit):
    """Books in ``atm_ready_at``."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.reserved: Dict[Any, None] = {}

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        if task not in self.reserved and self.running + len(self.reserved) >= self.most:
            return math.inf
        self.reserved[task] = None
        return now

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        self.reserved.pop(task, None)
        self.running += 1

    @hookimpl
    def atm_settled(self, task: Any) -> Any:
        self.reserved.pop(task, None)


class Spins(Limit):
    """Says "in a moment", over and over, instead of "when something ends"."""

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return now if self.running < self.most else now + 1e-6


class Polls(Limit):
    """Has a background task that looks every tenth of a millisecond."""

    @hookimpl
    async def atm_manager_started(self) -> Any:
        self.poller = asyncio.ensure_future(self.poll())

    @hookimpl
    async def atm_manager_stopped(self) -> Any:
        self.poller.cancel()

    async def poll(self) -> None:
        while True:
            await asyncio.sleep(0.0001)


class PollsForOneItLost(Queue):
    """Forgets the third task, and asks for it every microsecond."""

    count = 0

    def get_next_task(self) -> Any:
        self.count += bool(self.tasks)
        if self.count == 3:
            self.count += 1
            self.tasks.popleft()
        return super().get_next_task()

    async def get_sleep_interval(self) -> float:
        return 1e-6


class PollsForOneItLostNowAndThen(PollsForOneItLost):
    """The same, ten times a second: too slow for a busy loop, too fast for a day of patience."""

    async def get_sleep_interval(self) -> float:
        return 0.1


class WillNotEnd(Limit):
    """Its background task goes on when it is cancelled."""

    @hookimpl
    def atm_manager_started(self) -> Any:
        self.sampler = asyncio.ensure_future(self.sample())

    @hookimpl
    def atm_manager_stopped(self) -> Any:
        self.sampler.cancel()

    async def sample(self) -> None:
        while True:
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                pass


class NeverGivesUp:
    """Runs what fails again at once, for ever."""

    @hookimpl
    def atm_again(self, task: Any, outcome: Any, now: float) -> Any:
        return now if outcome.failed else None


class Loses:
    """Keeps the third task for ever."""

    def __init__(self) -> None:
        self.count = 0

    @hookimpl
    def atm_hold(self, task: Any) -> Any:
        self.count += 1
        return self.count == 3


class RunsTwice:
    """Runs the work a second time by itself."""

    @hookimpl
    def atm_execute(self, task: Any) -> Any:
        return self.twice(task)

    async def twice(self, task: Any) -> Any:
        await task.call()
        return await task.call()


class Invents:
    """Settles a task that it held with a result of its own."""

    @hookimpl
    def atm_hold(self, manager: Any, task: Any) -> Any:
        asyncio.get_running_loop().call_later(0.5, self.settle, manager, task)
        return True

    def settle(self, manager: Any, task: Any) -> None:
        if not task.done():
            manager.settle(task, Outcome("something"))


class Cancels:
    """Cancels what nobody wants to be cancelled."""

    @hookimpl
    def atm_admitted(self, task: Any) -> Any:
        asyncio.get_running_loop().call_soon(task.cancel)


class Raises(Limit):
    """Fails in ``atm_finished``, which the framework only logs."""

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= 1
        raise KeyError(task)


class Quarrels(Limit):
    """Fails in ``atm_ready_at``, which is the task's failure."""

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        if self.running:
            raise ZeroDivisionError
        return now


class OneTooMany(Limit):
    """Lets one more run than it promises."""

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return now if self.running <= self.most else math.inf


class ForgetsSuccess(Limit):
    """Gives back after a failure only."""

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= not outcome.succeeded


class ForgetsFailure(Limit):
    """Does not give back after a failure."""

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= not outcome.failed


class ForgetsCancellation(Limit):
    """Does not give back after a cancellation."""

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= not outcome.cancelled


class BooksInTheFirstWord(Limit):
    """Takes a place when it is asked, though another may still object."""

    def __init__(self, most: int = 6) -> None:
        super().__init__(most)
        self.places = 0

    @hookimpl
    def atm_admit(self, task: Any) -> Any:
        self.places += 1

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return now if self.places <= self.most else math.inf

    @hookimpl
    def atm_settled(self, task: Any) -> Any:
        self.places -= 1


class BooksAtAdmission(Limit):
    """Counts from admission on, and gives back when an attempt ends: what is cancelled in the queue never does."""

    def __init__(self, most: int = 6) -> None:
        super().__init__(most)

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return now if self.running <= self.most else math.inf

    @hookimpl
    def atm_admitted(self) -> Any:
        self.running += 1

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        return None


class ForgetsWhatNeverBegan(Limit):
    """Gives back only what has begun: not what is cancelled between its start and its first step."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.begun: Dict[Any, None] = {}

    @hookimpl
    def atm_began(self, task: Any) -> Any:
        self.begun[task] = None

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        if task in self.begun:
            del self.begun[task]
            self.running -= 1


class StuckInItsStart(Limit):
    """Believes that it has started when its start was cancelled half way."""

    state = "new"

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return super().atm_ready_at(task, now) if self.state == "ready" else math.inf

    @hookimpl
    async def atm_manager_started(self) -> Any:
        if self.state == "new":
            self.state = "starting"
            await asyncio.sleep(0.0)
            self.state = "ready"


class Random(Limit):
    """Draws a gap with no seed."""

    def __init__(self) -> None:
        super().__init__(2)
        self.next_at = 0.0

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return max(self.next_at, now)

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        self.next_at = now + random.random()


class GoesRound:
    """Runs what it holds by itself, past every gate."""

    def __init__(self) -> None:
        self.running: Dict[Any, Any] = {}

    @hookimpl
    def atm_hold(self, manager: Any, task: Any) -> Any:
        self.running[task] = asyncio.ensure_future(self.run(manager, task))
        return True

    @hookimpl
    def atm_settled(self, task: Any) -> Any:
        del self.running[task]

    async def run(self, manager: Any, task: Any) -> None:
        outcome = Outcome(await task.call())
        if not task.done():
            manager.settle(task, outcome)


class CountsQuestions(Limit):
    """Lets every third question pass, so that it matters whether another gate was asked before."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.questions = 0

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        self.questions += 1
        return now if self.questions % 3 == 0 else now + 0.25


class Shares:
    """Keeps a gap, the end of which stands on the class."""

    until = {"start": 0.0}

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        # A time further away is of an earlier loop, whose clock began at 0 as well.
        return self.until["start"] if self.until["start"] < now + 1.0 else now

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        self.until["start"] = now + 0.25


class StopsForGood(Limit):
    """Lets nothing start after a stop."""

    stopped = False

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return math.inf if self.stopped else super().atm_ready_at(task, now)

    @hookimpl
    def atm_manager_stopped(self) -> Any:
        self.stopped = True


class RunsOn(Limit):
    """Leaves its background task running."""

    @hookimpl
    def atm_manager_started(self) -> Any:
        self.sampler = asyncio.ensure_future(asyncio.sleep(1e6))


class KeepsTasks(Limit):
    """Remembers every task that has ended."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.ended: List[Any] = []

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> Any:
        self.running -= 1
        self.ended.append(task)


class KeepsKeys(Limit):
    """Counts by key, and never drops one.

    Args:
        key: A function of the task.
    """

    def __init__(self, key: Any = None) -> None:
        super().__init__()
        self.key = key or id
        self.counts: Dict[Any, int] = {}

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        super().atm_started(task, now)
        self.counts[self.key(task)] = self.counts.get(self.key(task), 0) + 1


class KeepsIds(Limit):
    """Counts by the id() of the task, and never drops one."""

    def __init__(self, most: int = 2) -> None:
        super().__init__(most)
        self.counts: Dict[int, int] = {}

    @hookimpl
    def atm_started(self, task: Any, now: float) -> Any:
        super().atm_started(task, now)
        self.counts[id(task)] = self.counts.get(id(task), 0) + 1


class NeverStarts:
    """Lets nothing start."""

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> Any:
        return math.inf


class Refuses:
    """Refuses every second task."""

    def __init__(self) -> None:
        self.count = 0

    @hookimpl
    def atm_admit(self, task: Any) -> Any:
        self.count += 1
        if self.count % 2 == 0:
            raise TaskRejected("not this one")


ONE = Limit(2)


def promised(self: Any, recorder: Any, settings: Any) -> None:
    recorder.max_running(2)


#: Test of the kit, the broken strategy, and what the test must say about it.
BROKEN: List[Tuple[str, Any, str]] = [
    ("test_its_settings_are_described_by_its_signature", kit(Undocumented), "no docstring"),
    ("test_its_settings_are_described_by_its_signature", kit(Unexplained), "amount .* not explained"),
    ("test_its_settings_are_described_by_its_signature", kit(AnyKeyword), "cannot be given as a keyword"),
    ("test_its_settings_are_described_by_its_signature", kit(Untyped), "most .* no annotation"),
    ("test_its_settings_are_described_by_its_signature", kit(Limit, valid=[{}, {"mots": 1}]), "mots"),
    ("test_it_is_made_outside_of_any_loop", kit(lambda: ONE), "same object twice"),
    ("test_it_is_made_outside_of_any_loop", kit(NeedsALoop), "no running event loop"),
    (
        "test_each_invalid_setting_is_refused_by_name_and_value",
        kit(AcceptsAll, invalid=[{"most": 0}]),
        "accepted",
    ),
    (
        "test_each_invalid_setting_is_refused_by_name_and_value",
        kit(SaysLittle, invalid=[{"most": 0}]),
        "no parameter",
    ),
    ("test_each_invalid_setting_is_refused_by_name_and_value", kit(Limit), "say `invalid"),
    ("test_its_kind_agrees_with_its_hooks", kit(Limit, "order"), r"says \['order'\], .* make it \['gate'\]"),
    ("test_its_kind_agrees_with_its_hooks", kit(Queue, "gate"), r"make it \['holds'\]"),
    ("test_its_kind_agrees_with_its_hooks", kit(Limit, "gates"), "none of gate, order"),
    ("test_asking_when_changes_nothing", kit(ReservesWhenAsked), "asked more often"),
    ("test_waiting_is_no_busy_loop", kit(Spins), "busy loop"),
    ("test_waiting_is_no_busy_loop", kit(Polls), "Say when one may start.* Now .* Polls.poll"),
    ("test_every_task_is_settled_once", kit(Loses, "holds"), "still not settled"),
    ("test_every_task_is_settled_once", kit(PollsForOneItLost, "holds"), "busy loop"),
    ("test_every_task_is_settled_once", kit(PollsForOneItLostNowAndThen, "holds"), "nothing happened .* lose none"),
    ("test_every_task_is_settled_once", kit(NeverGivesUp, "again", patience_seconds=600.0), "not settled|no end"),
    ("test_idle_keys_do_not_stay", kit(NeverGivesUp, "again"), "no end after .* again for ever"),
    ("test_every_task_is_settled_once", kit(RunsTwice, "none"), "ran 2 times, where 1"),
    ("test_every_task_is_settled_once", kit(Once, "none"), "ran 2 times, where 1"),
    ("test_every_task_is_settled_once", kit(Invents, "holds"), "not its own|never ran|its work raised"),
    ("test_every_task_is_settled_once", kit(Cancels, "none"), "cancelled by nobody"),
    ("test_every_task_is_settled_once", kit(Raises), "logged .* errors, the first of them: atm_finished .*KeyError"),
    ("test_every_task_is_settled_once", kit(Quarrels), "HookError.*ZeroDivisionError"),
    ("test_every_task_is_settled_once", kit(Refuses), "add 'rejects'"),
    ("test_every_task_is_settled_once", kit(OneTooMany, promise=promised), "ran at once"),
    ("test_success_gives_back", kit(ForgetsSuccess), "still not settled"),
    ("test_failure_gives_back", kit(ForgetsFailure), "still not settled"),
    ("test_cancellation_gives_back", kit(ForgetsCancellation), "still not settled"),
    ("test_refusal_gives_back", kit(BooksInTheFirstWord), "still not settled|not given back"),
    (
        "test_cancelling_the_work_at_every_await",
        kit(ForgetsCancellation),
        "task 0 was cancelled before step .* not given back",
    ),
    (
        "test_cancelling_the_work_at_every_await",
        kit(BooksAtAdmission),
        "task 0 was cancelled before step .* not settled",
    ),
    ("test_cancelling_the_work_at_every_await", kit(ForgetsWhatNeverBegan), "cancelled before step .* not given back"),
    ("test_work_that_cancels_itself", kit(ForgetsCancellation), "a task cancelled itself at place 0"),
    (
        "test_cancelling_the_manager_at_every_await",
        kit(StuckInItsStart),
        "was cancelled before step .* not settled",
    ),
    ("test_its_runs_repeat", kit(Random), "fixed seed"),
    ("test_it_passes_no_closed_gate", kit(GoesRound, "holds"), "another gate was closed"),
    ("test_it_composes_with_each_built_in_strategy", kit(CountsQuestions), "the order .* gives"),
    ("test_it_composes_with_random_stacks", kit(CountsQuestions), "the order .* gives"),
    ("test_two_managers_share_nothing", kit(Shares), "beside another manager"),
    ("test_a_stopped_manager_starts_again", kit(StopsForGood), "still not settled"),
    ("test_a_stopped_manager_starts_again", kit(RunsOn), "run on while the manager is stopped"),
    ("test_a_stopped_manager_starts_again", kit(WillNotEnd), r"end what is cancelled\. Now .* WillNotEnd\.sample"),
    ("test_settled_tasks_can_be_collected", kit(KeepsTasks), "settled tasks are kept: .*, by list"),
    ("test_idle_keys_do_not_stay", kit(KeepsKeys), "keys it holds more"),
    ("test_idle_keys_do_not_stay", kit(KeepsTasks), "tasks it holds more"),
    ("test_idle_keys_do_not_stay", kit(KeepsIds), "tasks it holds more"),
    ("test_idle_keys_do_not_stay", kit(PollsForOneItLost, "holds"), "busy loop"),
    ("test_settled_tasks_can_be_collected", kit(PollsForOneItLost, "holds"), "busy loop"),
    ("test_what_its_hooks_cost", kit(NeverStarts), "can never come"),
    ("test_what_its_hooks_cost", kit(PollsForOneItLost, "holds"), "busy loop"),
    ("test_what_its_hooks_cost", kit(PollsForOneItLostNowAndThen, "holds"), "nothing happened"),
    ("test_what_its_hooks_cost", kit(Raises), "logged .* errors, the first of them: atm_finished .*KeyError"),
]


@pytest.mark.parametrize("test, tests, message", BROKEN, ids=[f"{one[0]}-{one[1].factory.__name__}" for one in BROKEN])
def test_it_catches_a_broken_strategy(test: str, tests: Any, message: str, capsys: Any) -> None:
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        apply(tests, test, capsys)
    text = " ".join(str(caught.value).split())
    assert re.search(message, text), text


def test_every_test_of_the_kit_is_known_to_catch_something() -> None:
    assert {test for test, _, _ in BROKEN} == set(TESTS) - set(INSTALLED)


def test_the_cost_is_printed(capsys: Any) -> None:
    LimitTests().test_what_its_hooks_cost(capsys)
    assert re.search(r"limit: \d+\.\d µs a task", capsys.readouterr().out) is None  # past pytest's capture


# Found and imported: with distributions that are installed for the test alone.


@pytest.fixture
def install(tmp_path: Any, monkeypatch: Any) -> Any:
    """A function that installs a distribution with one module and one strategy in it, and gives the kit for it."""

    def install(name: str, source: str, distribution: str = "atm-sample", strategy: str = "sample") -> Any:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[atm.strategies]\n{strategy} = {name}:Sample\n")
        (site / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        module = __import__(name)
        monkeypatch.setitem(sys.modules, name, module)
        return kit(module.Sample)

    return install


SAMPLE = "class Sample:\n    pass\n"


def test_what_is_installed_is_found_and_imported(install: Any) -> None:
    tests = install("atm_sample_good", SAMPLE)
    tests.test_it_is_found_by_its_entry_point()
    tests.test_importing_it_does_no_work()


def test_it_catches_a_strategy_that_is_not_installed() -> None:
    with pytest.raises(AssertionError, match=r"no entry point 'sample'.*pip install -e"):
        kit(Limit).test_it_is_found_by_its_entry_point()


def test_it_catches_a_name_that_stands_for_something_else() -> None:
    with pytest.raises(AssertionError, match=r"'delayed' stands for .*DelayedStrategy.*makes .*Limit"):
        kit(Limit, name="delayed").test_it_is_found_by_its_entry_point()


def test_it_catches_a_name_that_two_distributions_offer(install: Any) -> None:
    install("atm_sample_one", SAMPLE)
    tests = install("atm_sample_two", SAMPLE, distribution="atm-other")
    with pytest.raises(AssertionError, match=r"several distributions offer 'sample': atm-other, atm-sample"):
        tests.test_it_is_found_by_its_entry_point()


@pytest.mark.parametrize(
    "source, message",
    [
        ("import threading\nthreading.Thread(target=print).start()\n", "calls Thread.start"),
        ("import asyncio\nloop = asyncio.new_event_loop()\nloop.close()\n", "calls asyncio.new_event_loop"),
        ("import time\ntime.sleep(0.0)\n", "calls time.sleep"),
        ("import os\nopen(os.devnull, 'w').close()\n", "opens .* to write"),
        ("print('hello')\n", "prints 'hello"),
    ],
)
def test_it_catches_work_at_import(install: Any, source: str, message: str) -> None:
    tests = install("atm_sample_busy", source + SAMPLE)
    with pytest.raises(AssertionError, match=message):
        tests.test_importing_it_does_no_work()
