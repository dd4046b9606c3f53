"""What outlives the process."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

import pytest
from atm_time_based import Recurrence, StateFileError, TimeBasedStrategy, after, at, every

from atm_core import HookError, TaskManager, TaskRejected

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600.0, 86400.0

Life = Callable[..., Recurrence]


@pytest.fixture
def live(bench: Bench, tmp_path: Path) -> Life:
    """One process after another: each adds one task, lives for some seconds, and is gone."""

    def one(schedule: Any, seconds: float, name: Optional[str] = "job", **settings: Any) -> Recurrence:
        strategy = TimeBasedStrategy(state_file=tmp_path / "state.db", **settings)
        metadata: Dict[str, Any] = {"schedule": schedule}
        if name is not None:
            metadata["name"] = name
        [(_, runs)] = bench.days(seconds, strategy, [(bench.job(name), metadata)])
        return runs

    return one


def pause(bench: Bench, seconds: float) -> None:
    bench.run(asyncio.sleep(seconds))


def test_what_was_missed_while_the_process_was_down_is_made_up_for(bench: Bench, live: Life) -> None:
    live("0 * * * *", 2.5 * HOUR)
    pause(bench, 4 * HOUR)
    runs = live("0 * * * *", HOUR)
    assert bench.times() == [HOUR, 2 * HOUR, 6.5 * HOUR, 7 * HOUR]
    assert (runs.runs, runs.missed) == (4, 3)


@pytest.mark.parametrize(
    "settings, times, missed",
    [
        ({"on_missed": "run_all"}, [6.5, 6.5, 6.5, 6.5, 7], 0),
        ({"on_missed": "run_earliest"}, [6.5, 7], 3),
        ({"on_missed": "skip"}, [7], 4),
        ({"misfire_grace_seconds": 60}, [7], 4),
        ({"misfire_grace_seconds": 3000}, [6.5, 7], 3),
        # Of what is older than catchup_seconds, one is counted.
        ({"on_missed": "run_all", "catchup_seconds": 2 * HOUR}, [6.5, 6.5, 7], 1),
        ({"catchup_seconds": 0}, [7], 1),
    ],
)
def test_the_settings_say_what_is_made_up_for(
    bench: Bench, live: Life, settings: Dict[str, Any], times: List[float], missed: int
) -> None:
    live("0 * * * *", 2.5 * HOUR, **settings)
    bench.ran.clear()
    pause(bench, 4 * HOUR)
    runs = live("0 * * * *", HOUR, **settings)
    assert bench.times() == [HOUR * hours for hours in times]
    assert runs.missed == missed


def test_intervals_go_on_where_they_were(bench: Bench, live: Life) -> None:
    live(every(hours=1), 1.5 * HOUR)
    pause(bench, 1.25 * HOUR)
    live(every(hours=1), 1.5 * HOUR)
    assert bench.times() == [HOUR, 2.75 * HOUR, 3 * HOUR, 4 * HOUR]


def test_nothing_is_made_up_for_without_a_name_or_with_another_schedule(bench: Bench, live: Life) -> None:
    live("0 * * * *", 1.5 * HOUR, name=None)
    live("0 * * * *", 1.5 * HOUR, name="job")
    bench.ran.clear()
    pause(bench, 4.25 * HOUR)
    live("0 * * * *", 600, name=None)
    live("0 */2 * * *", 600, name="job")
    assert not bench.ran


def test_what_runs_once_does_not_run_again_after_a_restart(bench: Bench, live: Life) -> None:
    live(at("2026-01-01T01:00"), 2 * HOUR)
    runs = live(at("2026-01-01T01:00"), HOUR)
    assert bench.times() == [HOUR]
    assert runs.next_run_at is None


def test_what_runs_once_and_was_missed_runs_late(bench: Bench, live: Life) -> None:
    live(at("2026-01-01T02:00"), HOUR)
    pause(bench, 3 * HOUR)
    live(at("2026-01-01T02:00"), HOUR)
    assert bench.times() == [4 * HOUR]


def test_the_number_of_runs_counts_on(bench: Bench, live: Life) -> None:
    live("0 * * * *", 2.5 * HOUR, max_runs=3)
    live("0 * * * *", 2.5 * HOUR, max_runs=3)
    runs = live("0 * * * *", 2.5 * HOUR, max_runs=3)
    assert bench.times() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert runs.runs == 3


def test_a_run_that_a_crash_interrupted_is_not_run_again(bench: Bench, tmp_path: Path) -> None:
    """It is noted when it begins; here the process never gets to the end of it, nor to closing the file."""
    path = tmp_path / "state.db"

    async def crash() -> None:
        manager = TaskManager(TimeBasedStrategy(state_file=path))
        manager.add_task(bench.job("job", lasts=1000), {"schedule": "0 * * * *", "name": "job"})
        await manager.idle()
        await asyncio.sleep(HOUR + 1)
        snapshot = tmp_path / "after the crash.db"
        for suffix in ("", "-wal"):
            (tmp_path / f"{snapshot.name}{suffix}").write_bytes((tmp_path / f"state.db{suffix}").read_bytes())
        await manager.aclose(timeout=0)

    bench.run(crash())
    strategy = TimeBasedStrategy(state_file=tmp_path / "after the crash.db")
    bench.days(1800, strategy, [(bench.job("job"), {"schedule": "0 * * * *", "name": "job"})])
    assert bench.times() == [HOUR]


def test_a_row_is_written_when_a_run_begins(bench: Bench, tmp_path: Path, live: Life) -> None:
    live("0 * * * *", 2.5 * HOUR)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        rows = connection.execute("SELECT * FROM atm_time_based").fetchall()
    connection.close()
    assert rows == [("job", '{"cron": "0 * * * *"}', START + 2 * HOUR, 2, 0)]


def test_what_is_noted_in_one_turn_is_one_transaction_but_each_run_is_written_before_it_begins(
    bench: Bench, tmp_path: Path
) -> None:
    strategy = TimeBasedStrategy(state_file=tmp_path / "state.db")
    file = strategy._journal._file
    assert file is not None
    flushes: List[Any] = []
    flush = file.flush

    def counted() -> None:
        flushes.append((bench.now(), len(file._unwritten)))
        flush()

    file.flush = counted  # type: ignore[method-assign]

    def job(name: str) -> Callable[[], Any]:
        async def work() -> None:
            assert name not in file._unwritten
            bench.ran.append((bench.now(), name))

        return work

    bench.days(HOUR + 1, strategy, [(job(str(n)), {"schedule": "@hourly", "name": str(n)}) for n in range(100)])
    assert len(bench.ran) == 100
    assert [n for at, n in flushes if at == 0 and n] == [100]


def test_one_name_is_one_task(bench: Bench, tmp_path: Path) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy(state_file=tmp_path / "state.db")) as manager:
            first = manager.add_task(bench.job(), {"schedule": "@hourly", "name": "job"})
            with pytest.raises(TaskRejected, match="'job' must be that of one task"):
                manager.add_task(bench.job(), {"schedule": "@hourly", "name": "job"})
            manager.add_task(bench.job(), {"name": "job"})
            first.cancel()
            manager.add_task(bench.job(), {"schedule": "@hourly", "name": "job"})

    bench.run(main())


def test_two_managers_with_one_file_are_refused(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    async def main() -> None:
        async with TaskManager(TimeBasedStrategy(state_file=path)):
            second = TaskManager(TimeBasedStrategy(state_file=path))
            with pytest.raises(StateFileError, match="in use by another manager or process"):
                second.add_task(bench.job(), {"schedule": "@hourly", "name": "x"})
            with pytest.raises(HookError, match="in use by another manager or process"):
                await second.idle()
        third = TaskManager(TimeBasedStrategy(state_file=path))
        async with third:
            pass

    bench.run(main())


HOLD = """
import sys
from atm_time_based._state_file import StateFile
file = StateFile(sys.argv[1])
file.open()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_two_processes_with_one_file_are_refused_until_one_is_gone(
    bench: Bench, tmp_path: Path, live: Life
) -> None:
    """However it goes: the lock is the system's."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "state.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(StateFileError, match="in use"):
            live("@hourly", 10)
        other.kill()
    live("@hourly", 10)


def test_a_file_that_is_none_is_refused(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look like something else entirely " * 20)

    async def main() -> None:
        manager = TaskManager(TimeBasedStrategy(state_file=path))
        with pytest.raises(StateFileError, match="cannot be used"):
            manager.add_task(bench.job(), {"schedule": "@hourly", "name": "x"})
        with pytest.raises(StateFileError, match="cannot be used"):
            TimeBasedStrategy(state_file=tmp_path / "no" / "such" / "directory")._journal.open()

    bench.run(main())


def test_a_file_that_cannot_be_written_stops_no_schedule(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = TimeBasedStrategy(state_file=tmp_path / "state.db")
    file = strategy._journal._file
    assert file is not None

    async def main() -> None:
        manager = TaskManager(strategy)
        manager.add_task(bench.job(), {"schedule": "@hourly", "name": "x"})
        await manager.idle()
        file._open().execute("PRAGMA query_only = ON")
        await asyncio.sleep(1.5 * HOUR)
        file._open().execute("PRAGMA query_only = OFF")
        await asyncio.sleep(HOUR)
        await manager.aclose()

    bench.run(main())
    assert bench.times() == [HOUR, 2 * HOUR]
    assert "cannot be written" in caplog.text
    row = file.get("x")
    assert row is not None
    assert row.runs == 2
    file.close()


def test_a_clock_that_was_far_ahead_does_not_stop_what_is_restored(bench: Bench, live: Life) -> None:
    bench.loop.jump_wall_clock(10 * 365 * DAY)
    live("0 * * * *", 1.5 * HOUR)
    bench.loop.jump_wall_clock(-10 * 365 * DAY)
    bench.ran.clear()
    live("0 * * * *", HOUR)
    assert bench.times() == [2 * HOUR]


def test_a_delay_counts_from_each_addition(bench: Bench, live: Life) -> None:
    live(after(100), 50)
    live(after(100), 150)
    live(after(100), 150)
    live("@reboot", 50, name="boot")
    live("@reboot", 50, name="boot")
    assert bench.times() == [150, 300, 350, 400]
