"""The conformance kit: a class of tests that the author of a strategy inherits."""

from __future__ import annotations

from atm_core.testing.conformance.books import BooksTests
from atm_core.testing.conformance.cancellation import CancellationTests
from atm_core.testing.conformance.gates import GateTests
from atm_core.testing.conformance.installed import InstalledTests
from atm_core.testing.conformance.managers import ManagerTests
from atm_core.testing.conformance.stacks import StackTests

__all__ = ["StrategyConformance"]


class StrategyConformance(InstalledTests, GateTests, BooksTests, CancellationTests, StackTests, ManagerTests):
    """The tests that every strategy passes; deterministic, in virtual time, a few seconds in all.

    Inherit it in a test module, and say what the strategy is::

        from atm_core.testing import StrategyConformance

        class TestConformance(StrategyConformance):
            name = "retry"                                # of its entry point
            factory = RetryStrategy                       # or a method: def factory(self, **settings)
            kind = {"again"}                              # of: gate order holds again rejects
            valid = [{"max_attempts": 2, "jitter": "none"}, {"max_attempts": 3, "seed": 1}]
            invalid = [{"max_attempts": 0}, {"max_attempts": True}, {"jitter": "lots"}]

    ``valid`` holds settings under which a handful of tasks of a quarter of a second have to wait, but no longer than
    ``rest_seconds`` in all; each test runs once for each of them. What is random needs a fixed seed in them. Each of
    ``invalid`` is laid over the first of ``valid``; its error must name the parameter and the value.

    More may be said where it applies, by attributes and methods with the same names:

    - ``rest_seconds = 3600.0``: after so long without tasks nothing of what was has an effect any more ...
    - ``remembers = True``: ... unless the strategy learns (a limit that adapts, a breaker that stays open).
    - ``patience_seconds = 86400.0``: a task that is not settled by then counts as lost.
    - ``roomy``: settings under which nothing waits, for measuring what the hooks cost; else the first of ``valid``.
    - ``metadata(n)``: what the n-th task of a test is to carry.
    - ``submit(manager, work, n)``: how the n-th task is handed in; ``work`` is an async function without arguments.
    - ``promise(recorder, settings)``: asserts on a :class:`~atm_core.testing.Recorder` what the strategy promises;
      called after random runs, alone and stacked with others.
    """
