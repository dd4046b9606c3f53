"""What the author of a strategy says about it."""

from __future__ import annotations

from typing import Any, Callable, Collection, Mapping, Optional, Sequence

from atm_core.calls import HookCalls
from atm_core.manager import TaskManager
from atm_core.plugins import has_hooks, make_plugin_manager, register
from atm_core.task import Task
from atm_core.testing.conformance.plays import Load, Play
from atm_core.testing.recorder import Recorder

__all__ = ["KINDS", "Settings", "Subject", "hooks_of"]

KINDS = ("gate", "order", "holds", "again", "rejects")

Settings = Mapping[str, Any]


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

    def play(self, load: Load, stack: Sequence[Any], eager: bool = True) -> Play:
        """Run ``load`` in virtual time under the strategies of ``stack``, and end everything."""
        play = Play(self, load, stack)
        play.eager = eager

        async def main() -> None:
            await play.run()
            await play.manager.aclose()

        play.in_loop(main())
        play.look_at_results()
        return play


def _words(settings: Settings) -> str:
    shown = ((name, getattr(value, "__name__", value)) for name, value in settings.items())
    return ",".join(f"{name}={value}" for name, value in shown) or "defaults"
