"""Plugins: the registration guard, the order of calls, wrappers, and what happens when a hook fails."""

from __future__ import annotations

import asyncio
import gc
import math
import types
import weakref

import pytest

from atm_core import (
    ConcurrentLimitStrategy,
    DelayedStrategy,
    HookError,
    Outcome,
    PluginError,
    TaskManager,
    TaskRejected,
    hookimpl,
)
from atm_core.testing import run


async def value(of="value", after=0.0):
    if after:
        await asyncio.sleep(after)
    return of


class Unmarked:
    def atm_started(self, task):
        pass


class UnknownHook:
    @hookimpl
    def atm_redy_at(self, task):
        pass


class UnknownArgument:
    @hookimpl
    def atm_started(self, tsk):
        pass


class AsyncHook:
    @hookimpl
    async def atm_started(self, task):
        pass


class GeneratorHook:
    @hookimpl
    def atm_started(self, task):
        yield


class DefaultedArgument:
    @hookimpl
    def atm_started(self, task, now=0.0):
        pass


class StarArguments:
    @hookimpl
    def atm_started(self, *args):
        pass


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (ConcurrentLimitStrategy, r"is a class: register an instance, ConcurrentLimitStrategy\(...\)"),
        (Unmarked(), "atm_started is not marked: decorate it with @atm_core.hookimpl"),
        (UnknownHook(), "there is no hook atm_redy_at; did you mean atm_ready_at?"),
        (UnknownArgument(), "atm_started has no argument tsk: it may name task, now"),
        (AsyncHook(), "atm_started is called synchronously: make it a plain def"),
        (GeneratorHook(), "atm_started contains yield"),
        (DefaultedArgument(), "argument now has a default"),
        (StarArguments(), r"takes \*args: name the arguments"),
        (object(), "implements no hook"),
        (3, "implements no hook"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_half_registered(plugin, message):
    manager = TaskManager()
    with pytest.raises(PluginError, match=message) as raised:
        manager.register(plugin)
    assert "plugin " in str(raised.value)
    assert manager.strategies == {}
    with pytest.raises(PluginError, match=message):
        TaskManager(plugin)


def test_the_error_names_the_distribution():
    class Own(ConcurrentLimitStrategy):
        @hookimpl
        def atm_nothing(self):
            pass

    Own.__module__ = "atm_plugins.own"
    with pytest.raises(PluginError, match="of distribution async-task-manager: there is no hook atm_nothing"):
        TaskManager(Own(1))


def test_the_same_plugin_twice_is_refused_and_two_of_a_kind_get_names():
    limit = ConcurrentLimitStrategy(1)
    manager = TaskManager([limit, ConcurrentLimitStrategy(2)])
    assert list(manager.strategies) == ["concurrent_limit", "concurrent_limit#2"]
    with pytest.raises(PluginError, match="registered already"):
        manager.register(limit)
    assert manager.register(DelayedStrategy(1), "pace") == "pace"
    manager.unregister("pace")
    manager.unregister(limit)
    assert list(manager.strategies) == ["concurrent_limit#2"]
    with pytest.raises(PluginError, match="not registered"):
        manager.unregister(limit)


def test_a_module_can_be_a_plugin():
    async def main():
        module = types.ModuleType("observer")
        seen = []

        def atm_settled(task, outcome):
            seen.append((task, outcome.value))

        module.atm_settled = hookimpl(atm_settled)
        async with TaskManager(module) as manager:
            task = manager.submit(value)
        assert seen == [(task, "value")]

    run(main())


def test_registering_runs_no_property_and_finds_hooks_under_any_name():
    class Lazy:
        @property
        def connection(self):
            raise AssertionError("nobody asked for it")

        @hookimpl(specname="atm_settled")
        def _note(self, task):
            self.seen = task.result()

    lazy = Lazy()
    lazy.callback = hookimpl(specname="atm_started")(lambda task: setattr(lazy, "started", task))

    async def main():
        async with TaskManager(lazy) as manager:
            return manager.submit(value)

    task = run(main())
    assert (lazy.seen, lazy.started) == ("value", task)


def test_all_hooks_of_one_task_in_order():
    async def main():
        calls = []

        def noting(name, answer=None):
            def hook(self, task):
                calls.append(name)
                return answer

            hook.__name__ = f"atm_{name}"
            return hookimpl(hook)

        class Around:
            async def __aenter__(self):
                calls.append("enter")

            async def __aexit__(self, *error):
                calls.append("exit")

        names = ("admit", "admitted", "hold", "order", "lane", "ready_at", "started", "began", "execute")
        body = {f"atm_{name}": noting(name) for name in (*names, "finished", "again", "settled")}
        body["atm_around"] = noting("around", Around())

        def life(name):
            async def hook(self, manager):
                calls.append(name)

            return hookimpl(hook)

        body["atm_manager_started"], body["atm_manager_stopped"] = life("manager_started"), life("manager_stopped")
        async with TaskManager(type("All", (), body)()) as manager:
            assert await manager.submit(value) == "value"
        expected = ["manager_started", "admit", "admitted", "hold", "order", "lane", "ready_at", "lane", "started"]
        expected += ["began", "around", "enter", "execute", "exit", "finished", "again", "settled", "manager_stopped"]
        assert calls == expected

    run(main())


def test_execute_elsewhere_and_around():
    async def main():
        class Elsewhere:
            @hookimpl
            def atm_execute(self, task):
                return value(("elsewhere", task.args)) if task.args else None

        class Suppress:
            async def __aenter__(self):
                pass

            async def __aexit__(self, kind, error, trace):
                return kind is KeyError

        class Around:
            @hookimpl
            def atm_around(self, task):
                return Suppress()

        async def fail():
            raise KeyError

        async with TaskManager([Elsewhere(), Around()]) as manager:
            assert await manager.submit(value, 1) == ("elsewhere", (1,))
            assert await manager.submit(value) == "value"
            assert await manager.submit(fail) is None

    run(main())


def test_wrappers_go_through_pluggy_and_can_change_answers():
    async def main():
        class Gate:
            @hookimpl
            def atm_ready_at(self, task, now):
                return 3.0

        class Wrapper:
            @hookimpl(hookwrapper=True)
            def atm_ready_at(self, task, now):
                outcome = yield
                outcome.force_result([at + 2 for at in outcome.get_result()])

        async with TaskManager([Gate(), Wrapper()]) as manager:
            assert await manager.submit(clock) == 5.0
            assert await manager.submit(clock) == 5.0

    run(main())


async def clock():
    return asyncio.get_running_loop().time()


def test_call_order_is_pluggys():
    async def main():
        calls = []

        def plugin(name, **options):
            def atm_started(self, task):
                calls.append(name)

            return type(name, (), {"atm_started": hookimpl(**options)(atm_started)})()

        plugins = [plugin("last", trylast=True), plugin("a"), plugin("first", tryfirst=True), plugin("b")]
        async with TaskManager(plugins) as manager:
            await manager.submit(value)
        assert calls == ["first", "b", "a", "last"]

    run(main())


class Fails:
    """Fails in one hook."""

    def __init__(self, hook):
        def fails(task):
            raise ValueError("broken")

        setattr(self, hook, hookimpl(fails))


DECIDING = ["atm_hold", "atm_order", "atm_lane", "atm_ready_at", "atm_around", "atm_execute", "atm_again"]


@pytest.mark.parametrize("hook", DECIDING)
def test_a_failing_deciding_hook_fails_its_task_and_nothing_else(hook):
    async def main():
        limit = ConcurrentLimitStrategy(1)
        async with TaskManager([limit, Fails(hook)]) as manager:
            for _ in range(2):
                task = manager.submit(value)
                with pytest.raises(HookError, match=f"{hook} of plugin 'fails' failed.*ValueError: broken") as raised:
                    await task
                assert (raised.value.plugin, raised.value.hook) == ("fails", hook)
                assert isinstance(raised.value.__cause__, ValueError)
            manager.unregister("fails")
            assert await manager.submit(value) == "value"
        assert limit.stats()["running"] == 0

    run(main())


@pytest.mark.parametrize("hook", ["atm_admit", "atm_admitted"])
def test_a_failing_admission_raises_where_the_task_is_added(hook):
    async def main():
        async with TaskManager(Fails(hook)) as manager:
            coroutine = value()
            with pytest.raises(HookError, match="broken"):
                manager.add_task(coroutine)
            assert coroutine.cr_frame is None
            assert manager.stats()["pending"] == 0

    run(main())


@pytest.mark.parametrize("hook", ["atm_started", "atm_began", "atm_finished", "atm_settled"])
def test_a_failing_observer_is_logged_and_the_task_goes_on(hook, caplog):
    async def main():
        limit = ConcurrentLimitStrategy(1)
        for stack in ([limit, Fails(hook)], [Fails(hook), limit]):
            async with TaskManager(stack) as manager:
                assert await manager.submit(value) == "value"
                assert await manager.submit(value) == "value"
            assert limit.stats()["running"] == 0
        assert "broken" in caplog.text

    run(main())


def test_a_gate_that_fails_at_the_start_fails_the_task_and_the_others_give_back():
    class Gate(Fails):
        @hookimpl
        def atm_ready_at(self, task, now):
            return now

    async def main():
        limit, second = ConcurrentLimitStrategy(1), ConcurrentLimitStrategy(1)
        async with TaskManager([limit, Gate("atm_started"), second]) as manager:
            with pytest.raises(HookError):
                await manager.submit(value)
            manager.unregister("gate")
            assert await manager.submit(value) == "value"
        assert limit.stats()["running"] == second.stats()["running"] == 0

    run(main())


@pytest.mark.parametrize("answer", ["soon", math.nan, [1]])
@pytest.mark.parametrize("hook", ["atm_ready_at", "atm_again"])
def test_an_answer_that_is_no_time(hook, answer):
    class Odd:
        def __init__(self):
            setattr(self, hook, hookimpl(lambda task: answer))

    async def main():
        async with TaskManager([ConcurrentLimitStrategy(1), Odd()]) as manager:
            with pytest.raises(HookError, match=hook):
                await manager.submit(value)

    run(main())


def test_a_rejection_while_waiting_fails_the_task():
    class Refuses:
        @hookimpl
        def atm_ready_at(self, task, now):
            if now >= 5:
                raise TaskRejected("too late", retry_after=7.0)
            return 5.0

    async def main():
        async with TaskManager(Refuses()) as manager:
            task = manager.submit(value)
            with pytest.raises(TaskRejected, match="too late") as raised:
                await task
            assert raised.value.retry_after == 7.0
            assert await clock() == 5.0
            assert task.attempts == 0

    run(main())


def test_a_rejection_at_admission_reaches_the_caller_and_closes_the_coroutine():
    class Refuses:
        @hookimpl
        def atm_admit(self, task):
            raise TaskRejected("no")

    async def main():
        async with TaskManager(Refuses()) as manager:
            coroutine = value()
            with pytest.raises(TaskRejected):
                manager.add_task(coroutine)
            assert coroutine.cr_frame is None
            assert manager.stats()["rejected"] == 1

    run(main())


class Again:
    """Runs failures again, a second later."""

    @hookimpl
    def atm_again(self, task, outcome, now):
        return now + 1 if outcome.failed else None


def test_again_passes_every_gate_again_and_holds_nothing_meanwhile():
    async def main():
        loop, starts = asyncio.get_running_loop(), []
        limit = ConcurrentLimitStrategy(1)

        async def flaky():
            starts.append(loop.time())
            if len(starts) < 3:
                raise ValueError
            return "at last"

        async with TaskManager([limit, Again()]) as manager:
            task = manager.submit(flaky)
            other = manager.submit(value, "other", 0.5)
            assert await task == "at last"
            assert await other == "other"
            assert starts == [0, 1, 2]
            assert task.attempts == 3

    run(main())


def test_again_with_a_bare_coroutine_is_an_error():
    async def main():
        async def fail():
            raise KeyError("own")

        async with TaskManager(Again()) as manager:
            task = manager.add_task(fail())
            with pytest.raises(HookError, match="cannot run again, since its work is an awaitable"):
                await task

    run(main())


def test_never_again_is_final_and_nobody_else_is_asked():
    class Never:
        @hookimpl(tryfirst=True)
        def atm_again(self, task):
            return math.inf

    async def main():
        async def fail():
            raise KeyError

        async with TaskManager([Again(), Never()]) as manager:
            with pytest.raises(KeyError):
                await manager.submit(fail)

    run(main())


def test_a_cancelled_handle_is_not_asked_again():
    class Always:
        @hookimpl
        def atm_again(self, now):
            return now

    async def main():
        async with TaskManager(Always()) as manager:
            task = manager.submit(value, "x", 1)
            await asyncio.sleep(5.5)
            assert task.attempts == 6
            task.cancel()
            await task.wait()
            assert task.cancelled()

    run(main())


def test_not_before():
    class Later:
        @hookimpl
        def atm_admitted(self, task, now):
            task.not_before = now + task.metadata["delay"]

    async def main():
        async with TaskManager([Later(), ConcurrentLimitStrategy(1)]) as manager:
            tasks = [manager.add_task(clock, {"delay": delay}) for delay in (1, 5, 3, 0)]
            assert tasks[0].not_before == 1
            await asyncio.sleep(0.5)
            tasks[1].not_before = 2.0
            assert "it is not to start yet (for another" in str(manager.explain(tasks[2]))
            tasks[2].not_before = None
            assert [await task for task in tasks] == [1, 2, 0.5, 0]

    run(main())


def test_join_does_not_wait_for_the_next_time_of_a_recurring_task():
    class Recurs:
        @hookimpl
        def atm_admitted(self, task):
            task.recurring = True

        @hookimpl
        def atm_again(self, now):
            return now + 10

    async def main():
        async with TaskManager(Recurs()) as manager:
            task = manager.submit(value, "x", 1)
            await manager.join()
            assert await clock() == 1
            await asyncio.sleep(10.5)
            assert task.state.value == "running"
            await manager.join()
            assert (await clock(), task.attempts) == (12, 2)
        assert task.cancelled()

    run(main())


def test_hold_release_and_settle():
    class Holder:
        def __init__(self):
            self.held = []

        @hookimpl
        def atm_hold(self, task):
            self.held.append(task)
            return True

        def explain(self, task, now):
            return "gathering"

    async def main():
        holder = Holder()
        async with TaskManager([holder, ConcurrentLimitStrategy(1)]) as manager:
            released, settled, cancelled = (manager.submit(value) for _ in range(3))
            assert holder.held == [released, settled, cancelled]
            assert "holder: gathering" in str(manager.explain(settled))
            await asyncio.sleep(1)
            manager.release(released)
            manager.settle(settled, Outcome("elsewhere", duration=1.0))
            cancelled.cancel()
            assert await released == "value"
            assert await settled == "elsewhere"
            assert settled.attempts == 1
            assert cancelled.cancelled()
            with pytest.raises(RuntimeError, match="not held"):
                manager.release(released)

    run(main())


def test_plugins_change_while_tasks_run_and_wait():
    """What runs ends with the hooks it began with; what waits is asked anew."""

    async def main():
        old, new = ConcurrentLimitStrategy(1), ConcurrentLimitStrategy(2)
        async with TaskManager(old) as manager:
            tasks = [manager.submit(value, i, 2) for i in range(4)]
            await asyncio.sleep(1)
            manager.register(new, "new")
            manager.unregister(old)
            await asyncio.sleep(0.5)
            assert [task.state.value for task in tasks] == ["running", "running", "running", "pending"]
            await manager.join()
        assert old.stats()["running"] == new.stats()["running"] == 0

    run(main())


def test_wake_asks_again():
    class Door:
        open = False

        @hookimpl
        def atm_ready_at(self, now):
            return now if self.open else math.inf

    async def main():
        door = Door()
        async with TaskManager(door) as manager:
            task = manager.submit(clock)
            await asyncio.sleep(3)
            door.open = True
            await asyncio.sleep(3)
            assert not task.done()
            manager.wake()
            assert await task == 6

    run(main())


def test_observers_of_the_group_join_every_manager(tmp_path, monkeypatch):
    dist = tmp_path / "seen-1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: seen\nVersion: 1\n")
    (dist / "entry_points.txt").write_text("[atm.plugins]\nseen = seen_plugin:Seen\n")
    (tmp_path / "seen_plugin.py").write_text(
        "from atm_core import hookimpl\nclass Seen:\n    @hookimpl\n    def atm_settled(self, task): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(TaskManager().strategies) == ["seen"]
    monkeypatch.setenv("ATM_DISABLED_PLUGINS", "other, seen")
    assert TaskManager().strategies == {}
    monkeypatch.delenv("ATM_DISABLED_PLUGINS")
    monkeypatch.setenv("ATM_NO_PLUGINS", "1")
    assert TaskManager().strategies == {}


class Comes:
    """A plugin whose tasks recur, but which never lets them come again."""

    @hookimpl
    def atm_admitted(self, task):
        task.recurring = True


def test_nothing_is_kept_of_settled_tasks_however_few_hooks_there_are():
    """Where no strategy is asked after the end, tasks settle by a shorter way, which forgets as much."""

    class Holder:
        @hookimpl
        def atm_hold(self, manager, task):
            if task.metadata.get("inner"):
                return None
            manager.release(task)
            seen.append(weakref.ref(manager.add_inner(value, {"inner": True})))
            return True

    async def main():
        for plugin in (Comes(), Holder()):
            async with TaskManager([ConcurrentLimitStrategy(1), plugin]) as manager:
                seen.extend(weakref.ref(manager.submit(value)) for _ in range(5))
                await manager.join()
                await asyncio.sleep(0)
                gc.collect()
                assert [task() for task in seen if task() is not None] == []

    seen = []
    run(main())


def test_a_task_that_becomes_recurring_while_it_sleeps_is_waited_for_no_more():
    class Later:
        @hookimpl
        def atm_admitted(self, task, now):
            task.not_before = now + 10

    async def main():
        async with TaskManager(Later()) as manager:
            task = manager.submit(value)
            joining = asyncio.ensure_future(manager.join())
            await asyncio.sleep(1)
            assert not joining.done()
            task.recurring = True
            await joining
            assert await clock() == 1
            task.recurring = False
            await manager.join()
            assert await clock() == 10

    run(main())


def test_nothing_is_kept_of_cancelled_sleepers_until_their_time():
    class Later:
        @hookimpl
        def atm_admitted(self, task, now):
            task.not_before = now + 1e6

    async def main():
        async with TaskManager(Later()) as manager:
            tasks = [manager.submit(value) for _ in range(100)]
            await asyncio.sleep(1)
            kept = [weakref.ref(task) for task in tasks]
            while tasks:
                tasks.pop().cancel()
            gc.collect()
            assert [one for one in kept if one() is not None] == []

    run(main())


def test_a_failing_admission_names_the_task_as_it_was():
    class Broken:
        @hookimpl
        def atm_admit(self, task):
            raise ValueError("broken")

    with pytest.raises(HookError, match="failed for <Task value pending>: ValueError: broken"):
        TaskManager(Broken()).submit(value)
