"""What every strategy must do: with tasks that run once, with recurring ones, and without any schedule."""

from __future__ import annotations

import logging
from typing import Any, Mapping, Optional

import pytest
from atm_time_based import TimeBasedStrategy, after, every

from atm_core.testing import StrategyConformance


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed runs are logged, and pytest keeps what is logged, with all that the exceptions refer to."""
    monkeypatch.setattr(logging.getLogger("atm_time_based"), "disabled", True)


class TestOnce(StrategyConformance):
    name = "time_based"
    factory = TimeBasedStrategy
    kind = {"gate", "again"}
    valid = [
        {},
        {"on_missed": "run_all", "overlap": "allow"},
        {"cron": "* * * * * *", "max_runs": 2},
    ]
    roomy = {}
    invalid = [
        {"timezone": "Mars/Olympus"},
        {"timezone": 5},
        {"cron": "61 * * * *"},
        {"cron": 5},
        {"misfire_grace_seconds": -1},
        {"misfire_grace_seconds": True},
        {"on_missed": "run"},
        {"on_missed": None},
        {"catchup_seconds": -1},
        {"catchup_seconds": float("nan")},
        {"overlap": "never"},
        {"jitter_seconds": "2"},
        {"jitter_seconds": float("inf")},
        {"start": "soon"},
        {"end": 5},
        {"max_runs": 0},
        {"max_runs": True},
        {"end_on_failure": 1},
        {"state_file": 5},
        {"seed": "random"},
    ]

    def metadata(self, n: int) -> Optional[Mapping[str, Any]]:
        """Some at once, some later."""
        return None if n % 3 == 0 else {"schedule": after(n % 3 * 0.375)}


class TestRecurring(TestOnce):
    """Each that recurs runs twice. Without jitter, whose next numbers depend on those drawn before."""

    valid = [
        {"max_runs": 2},
        {"max_runs": 2, "overlap": "buffer_all"},
        {"max_runs": 2, "overlap": "buffer_one", "on_missed": "run_all"},
        {"max_runs": 2, "overlap": "cancel_running", "on_missed": "run_earliest"},
    ]

    def metadata(self, n: int) -> Optional[Mapping[str, Any]]:
        """At intervals of their own."""
        return None if n % 3 == 0 else {"schedule": every(seconds=0.75 + n % 4 * 0.25), "name": f"piece {n}"}
