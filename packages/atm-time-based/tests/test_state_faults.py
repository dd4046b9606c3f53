"""A state file and what can happen to it: crashes, full disks, wrong contents."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import pytest
from atm_time_based import StateFileError, TimeBasedStrategy, at, every

from atm_core import TaskManager

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600.0, 86400.0


def rows(path: Path) -> Dict[str, Any]:
    """Name -> (handled_at in seconds since START, runs, missed); proves that the file is sound."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = connection.execute("SELECT name, handled_at, runs, missed FROM atm_time_based").fetchall()
        return {name: (handled_at - START, runs, missed) for name, handled_at, runs, missed in found}
    finally:
        connection.close()


# Fifty jobs an hour. In the third hour one of them says so, in its very first step, and waits to be killed.
CRASH = """
import asyncio, sys
from atm_core import TaskManager
from atm_core.testing import VirtualTimeLoop
from atm_time_based import TimeBasedStrategy, cron

loop = VirtualTimeLoop(wall_start=float(sys.argv[2]))

async def main():
    strategy = TimeBasedStrategy(state_file=sys.argv[1])
    async with TaskManager(strategy) as manager:
        def job(n):
            async def work():
                if n == 25 and strategy.recurrence(tasks[n]).runs == 2:
                    print("killed in its first step", flush=True)
                    sys.stdin.read()
            return work
        tasks = [manager.add_task(job(n), {"schedule": cron("@hourly"), "name": f"job {n}"}) for n in range(50)]
        await asyncio.sleep(4 * 3600)

loop.run_until_complete(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_process_killed_in_the_middle_of_a_run_leaves_a_sound_file(bench: Bench, tmp_path: Path) -> None:
    """The run in which it died is not repeated, and of the others of that moment each is run exactly once."""
    path = tmp_path / "state.db"
    command = [sys.executable, "-c", CRASH, str(path), str(START)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"killed in its first step"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    found = rows(path)
    assert len(found) == 50
    assert found["job 25"] == (3 * HOUR, 3, 0)
    assert {runs for _, runs, _ in found.values()} <= {2, 3}
    assert all(handled_at == runs * HOUR for handled_at, runs, _ in found.values())

    bench.loop.jump_wall_clock(3 * HOUR + 60)
    tasks = [(bench.job(n), {"schedule": "@hourly", "name": f"job {n}"}) for n in range(50)]
    bench.days(600, TimeBasedStrategy(state_file=path), tasks)
    left = {name for name, (_, runs, _) in found.items() if runs == 2}
    assert {f"job {n}" for _, n in bench.ran} == left
    assert all(runs == 3 for _, runs, _ in rows(path).values())


def test_a_job_that_has_not_run_yet_is_made_up_for_too(bench: Bench, tmp_path: Path) -> None:
    """The process is down at the very first time of each kind of schedule."""
    path = tmp_path / "state.db"
    schedules = {"cron": "0 1 * * *", "every": every(hours=2), "at": at("2026-01-01T03:00")}
    for seconds, pause in ((1800, 5 * HOUR), (60, 0)):
        tasks = [(bench.job(name), {"schedule": one, "name": name}) for name, one in schedules.items()]
        bench.days(seconds, TimeBasedStrategy(state_file=path), tasks)
        bench.run(asyncio.sleep(pause))
    assert sorted(bench.ran) == [(5.5 * HOUR, "at"), (5.5 * HOUR, "cron"), (5.5 * HOUR, "every")]


def test_what_runs_once_and_was_missed_too_long_ago_says_so(bench: Bench, tmp_path: Path) -> None:
    from atm_time_based import MissedRunError

    path = tmp_path / "state.db"
    once = {"schedule": at("2026-01-01T03:00"), "name": "once"}
    bench.days(60, TimeBasedStrategy(state_file=path), [(bench.job(), once)])
    bench.run(asyncio.sleep(3 * DAY))
    [(task, runs)] = bench.days(60, TimeBasedStrategy(state_file=path), [(bench.job(), once)])
    assert isinstance(task.exception(), MissedRunError)
    assert (runs.runs, runs.missed) == (0, 1)


def test_a_full_disk_stops_no_schedule_and_the_next_run_tries_again(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.db"
    strategy = TimeBasedStrategy(state_file=path)
    file = strategy._journal._file
    assert file is not None
    names = [f"job {n} " + "x" * 500 for n in range(40)]

    async def main() -> None:
        manager = TaskManager(strategy)
        await manager.idle()
        pages = file._open().execute("PRAGMA page_count").fetchone()[0]
        file._open().execute(f"PRAGMA max_page_count = {pages + 1}")  # the disk is full
        for name in names:
            manager.add_task(bench.job(name), {"schedule": "@hourly", "name": name})
        await asyncio.sleep(1.5 * HOUR)
        assert "full" in caplog.text
        file._open().execute("PRAGMA max_page_count = 100000")  # somebody has made room
        caplog.clear()
        await asyncio.sleep(HOUR)
        assert not file._unwritten
        assert not caplog.text
        await manager.aclose()

    bench.run(main())
    assert len(bench.ran) == 80
    assert {runs for _, runs, _ in rows(path).values()} == {2}


def test_a_transaction_that_fails_leaves_no_half(tmp_path: Path) -> None:
    """The second of two rows is refused by the file: the first one is not in it, either, until both can be."""
    from atm_time_based._state_file import Row, StateFile

    file = StateFile(str(tmp_path / "state.db"))
    file.open()
    file._open().execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON atm_time_based WHEN NEW.name = 'b' "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    for name in "ab":
        file.put(name, Row("{}", START, 1, 0))
    for _ in range(2):
        with pytest.raises(StateFileError, match="cannot be written: refused"):
            file.flush()
        assert file._open().execute("SELECT count(*) FROM atm_time_based").fetchone() == (0,)
    file._open().execute("DROP TRIGGER refuse")
    file.flush()
    file.close()
    assert sorted(rows(tmp_path / "state.db")) == ["a", "b"]


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(1) * (len(data) - 100)  # behind the header, which alone is read when it is opened
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1500])


def other_columns(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE atm_time_based (name TEXT, colour TEXT)")
    connection.close()


def set_value(column: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE atm_time_based SET {column} = ?", (value,))
        connection.close()

    return change


@pytest.mark.parametrize(
    "damage",
    [damage_pages, truncate, other_columns, set_value("handled_at", "soon"), set_value("runs", b"\xff")],
    ids=["pages", "truncated", "columns", "handled_at", "runs"],
)
def test_a_damaged_file_is_refused_by_name(
    bench: Bench, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "state.db"
    metadata = {"schedule": "@hourly", "name": "job"}
    bench.days(1.5 * HOUR, TimeBasedStrategy(state_file=path), [(bench.job(), metadata)])
    damage(path)
    strategy = TimeBasedStrategy(state_file=path)

    async def main() -> None:
        manager = TaskManager(strategy)
        with pytest.raises(StateFileError, match=r"state_file '.*state\.db' cannot be (used|read): "):
            manager.add_task(bench.job(), metadata)
        await manager.aclose()
        strategy._journal.close()

    bench.run(main())


@pytest.mark.parametrize("handled_at", [float("inf"), START + 300 * DAY, float("-inf"), 0.0, -1e300])
def test_a_time_that_cannot_be_is_no_reason_to_stand_still(
    bench: Bench, tmp_path: Path, handled_at: float
) -> None:
    path = tmp_path / "state.db"
    metadata = {"schedule": "@hourly", "name": "job"}
    bench.days(1.5 * HOUR, TimeBasedStrategy(state_file=path), [(bench.job(), metadata)])
    set_value("handled_at", handled_at)(path)
    bench.ran.clear()
    bench.days(HOUR, TimeBasedStrategy(state_file=path, on_missed="skip"), [(bench.job(), metadata)])
    assert bench.times() == [2 * HOUR]


@pytest.mark.parametrize("exists", [True, False])
def test_a_read_only_directory_or_file_is_refused(bench: Bench, tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "state.db"
    metadata = {"schedule": "@hourly", "name": "job"}
    if exists:
        bench.days(1.5 * HOUR, TimeBasedStrategy(state_file=path), [(bench.job(), metadata)])
        path.chmod(0o400)
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        tmp_path.chmod(0o700)
        pytest.skip("nothing is read-only to this user")

    async def main() -> None:
        manager = TaskManager(TimeBasedStrategy(state_file=path))
        with pytest.raises(StateFileError, match="cannot be used"):
            manager.add_task(bench.job(), metadata)

    try:
        bench.run(main())
    finally:
        tmp_path.chmod(0o700)


def test_the_path_is_that_of_the_time_when_it_was_given(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened later, and again after each stop."""
    monkeypatch.chdir(tmp_path)
    strategy = TimeBasedStrategy(state_file="state.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    bench.days(1.5 * HOUR, strategy, [(bench.job(), {"schedule": "@hourly", "name": "job"})])
    assert rows(tmp_path / "state.db") == {"job": (HOUR, 1, 0)}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_name_that_no_file_can_hold_is_refused(bench: Bench, tmp_path: Path) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy(state_file=tmp_path / "state.db")) as manager:
            with pytest.raises(StateFileError):
                manager.add_task(bench.job(), {"schedule": "@hourly", "name": "\ud800"})
            manager.add_task(bench.job("ok"), {"schedule": "@hourly", "name": "naïve; DROP TABLE x --\0"})
            await asyncio.sleep(HOUR)

    bench.run(main())
    assert bench.times() == [HOUR]


def test_a_loop_that_is_closed_with_rows_unwritten_loses_none(bench: Bench, tmp_path: Path) -> None:
    """They are written when the manager starts in another loop."""
    from atm_core.testing import VirtualTimeLoop

    path = tmp_path / "state.db"
    strategy = TimeBasedStrategy(state_file=path)
    manager = TaskManager(strategy)

    async def run_until(seconds: float) -> None:
        manager.add_task(bench.job("job"), {"schedule": "@hourly", "name": "job"})
        await manager.idle()
        await asyncio.sleep(seconds)

    bench.run(run_until(HOUR))
    written: List[Any] = []
    bench.loop.close()
    bench.loop = VirtualTimeLoop(wall_start=START + HOUR + 1)

    async def go_on() -> None:
        await manager.idle()
        file = strategy._journal._file
        assert file is not None
        written.append(file._unwritten.copy())
        await asyncio.sleep(HOUR)
        await manager.aclose()

    bench.run(go_on())
    assert written == [{}]
    assert rows(path) == {"job": (2 * HOUR, 2, 0)}
