"""``atm run``: what comes out, and with which exit code."""

from __future__ import annotations

import json
import os
import pathlib
import sqlite3
import time
from typing import Any, Dict, List

import pytest


def rows(path: Any) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def test_one_line_for_each_input(atm: Any, write: Any) -> None:
    """With the input, the result, attempts, key and times; on stdout, which holds nothing else."""
    write("in.txt", "http://a.example/1\nb\n")
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-s", "concurrent_limit:max_concurrent=1,key=host")
    assert done.code == 0
    first, second = [json.loads(line) for line in done.out.splitlines()]
    assert (first["index"], first["input"], first["result"]) == (0, "http://a.example/1", "HTTP://A.EXAMPLE/1")
    assert (second["index"], second["input"], second["result"]) == (1, "b", "B")
    assert first["key"] == "a.example" and second["key"] is None
    assert first["attempts"] == 1 and "error" not in first
    assert abs(time.time() - first["started_at"]) < 60 and first["ended_at"] >= first["started_at"]
    assert first["waited_seconds"] >= 0 and first["ran_seconds"] >= 0
    assert done.err.startswith("atm: 2 done, ") and done.err.count("\n") == 1


def test_failures(atm: Any, write: Any) -> None:
    """A failed input has its error in place of a result; exit code 1, and the first failure is told."""
    write("in.jsonl", "1\n-1\n2\n-2\n")
    done = atm("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "--ordered")
    assert done.code == 1
    found = rows("out.jsonl")
    assert [row.get("result") for row in found] == [2, None, 4, None]
    error = found[1]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "-1 is negative")
    assert error["where"].startswith("jobs.py:") and error["where"].endswith(" in double")
    assert "4 done (2 failed)" in done.err and "input 2: ValueError: -1 is negative" in done.err


def test_retries_are_counted(atm: Any, write: Any) -> None:
    """A strategy that runs work again: the attempts stand in the output."""
    write(
        "again.py",
        """
        from atm_core import hookimpl
        class Again:
            def __init__(self, times): self.times = times
            @hookimpl
            def atm_again(self, task, outcome, now):
                if outcome.failed and task.attempts < self.times:
                    return now + 0.01
    """,
    )
    write("in.txt", "a\nb\n")
    done = atm("run", "jobs.py:flaky", "-i", "in.txt", "-o", "out.jsonl", "-s", "again:Again:times=3")
    assert done.code == 0 and [row["attempts"] for row in rows("out.jsonl")] == [3, 3]
    done = atm("run", "jobs:flaky", "-i", "in.txt", "-o", "out.jsonl", "-s", "again:Again:times=1")
    assert done.code == 1 and [row["attempts"] for row in rows("out.jsonl")] == [1, 1]


def test_rows_as_dicts_or_one_column(atm: Any, write: Any) -> None:
    """The function may change what it got: the output has the input as it was."""
    write("in.csv", "url,n\nx,1\n")
    done = atm("run", "jobs.py:columns", "-i", "in.csv")
    assert json.loads(done.out)["result"] == ["n", "new", "url"]
    assert json.loads(done.out)["input"] == {"url": "x", "n": "1"}
    done = atm("run", "jobs.py:shout", "-i", "in.csv", "--column", "url")
    assert json.loads(done.out)["result"] == "X"


def test_plain_functions_run_in_threads(atm: Any, write: Any) -> None:
    """No more at once than there are threads, and never on the loop's."""
    write("in.txt", "a\nb\n")
    done = atm("run", "jobs.py:plain", "-i", "in.txt", "--threads", "1", "--dry-run", "--json")
    plan = json.loads(done.out)
    assert plan["runs_in"] == "threads" and plan["strategies"] == {"threads": "ConcurrentLimitStrategy"}
    done = atm("run", "jobs.py:plain", "-i", "in.txt")
    assert [json.loads(line)["result"] for line in done.out.splitlines()] == [False, False]


def test_methods_and_modules(atm: Any, write: Any) -> None:
    """A method of an object in a module counts as a function, a module's name works as its file's does."""
    write("in.txt", "a\n")
    assert json.loads(atm("run", "jobs.py:thing.method", "-i", "in.txt").out)["result"] == "method a"
    assert json.loads(atm("run", "jobs:shout", "-i", "in.txt").out)["result"] == "A"


def test_a_file_with_the_name_of_a_module(atm: Any, write: Any) -> None:
    """A file called like a module of Python's own does not become everybody's."""
    write("json.py", "async def shout(text):\n    import json\n    return json.dumps(text)\n")
    write("in.txt", "a\n")
    done = atm("run", "json.py:shout", "-i", "in.txt")
    assert done.code == 0 and json.loads(done.out)["result"] == '"a"'


def test_what_the_function_prints_is_no_result(atm: Any, write: Any) -> None:
    """It goes to stderr."""
    write("in.txt", "a\n")
    done = atm("run", "jobs.py:noisy", "-i", "in.txt")
    assert json.loads(done.out)["result"] == "a" and "said a" in done.err


def test_limit_quiet_and_json(atm: Any, write: Any) -> None:
    """The first inputs only; nothing is said; the summary as JSON, where no results are."""
    write("in.txt", "".join(f"{number}\n" for number in range(50)))
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-o", "out.jsonl", "--limit", "7", "-q")
    assert (done.code, done.out, done.err) == (0, "", "") and len(rows("out.jsonl")) == 7
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-o", "out.jsonl", "--json")
    summary = json.loads(done.out)
    assert summary["done"] == 50 and summary["exit_code"] == 0 and done.err == ""
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "--json")
    assert json.loads(done.err)["done"] == 50 and len(done.out.splitlines()) == 50


def test_no_inputs(atm: Any, write: Any) -> None:
    """Nothing to do is nothing wrong."""
    write("in.txt", "\n")
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-o", "out.jsonl", "-j", "run.sqlite")
    assert done.code == 0 and rows("out.jsonl") == []


def test_fail_fast(atm: Any, write: Any) -> None:
    """The first failure ends it: what did not start is not in the output."""
    write("in.jsonl", "".join(f"{number}\n" for number in (1, -1, *range(100))))
    done = atm("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "--fail-fast",
               "-s", "concurrent_limit:max_concurrent=1", "-j", "run.sqlite")  # fmt: skip
    assert done.code == 1 and len(rows("out.jsonl")) == 2
    done = atm("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "-j", "run.sqlite")
    assert done.code == 1 and sorted(row["index"] for row in rows("out.jsonl")) == list(range(102))


def test_a_config_and_options_together(atm: Any, write: Any) -> None:
    """The profile's strategies and those of the command line all hold."""
    write("atm.toml", '[a]\nmax_pending = 3\nstrategies = [{name = "concurrent_limit", max_concurrent = 2}]\n[b]\n')
    write("in.txt", "".join(f"{number}\n" for number in range(40)))
    options = (
        "jobs.py:shout",
        "-i",
        "in.txt",
        "-c",
        "atm.toml",
        "-p",
        "a",
        "-s",
        "fixed_window:max_requests=90,window_seconds=1",
    )
    plan = json.loads(atm("run", *options, "--dry-run", "--json").out)
    assert plan["strategies"] == {"concurrent_limit": "ConcurrentLimitStrategy", "fixed_window": "FixedWindowStrategy"}
    done = atm("run", *options, "-o", "out.jsonl")
    assert done.code == 0 and len(rows("out.jsonl")) == 40


def test_refused_by_a_strategy(atm: Any, write: Any) -> None:
    """An input that a strategy refuses has failed, without an attempt."""
    write("in.jsonl", '{"cost": 1}\n{"cost": 9}\n')
    done = atm("run", "jobs.py:columns", "-i", "in.jsonl", "-o", "out.jsonl", "--ordered",
               "-s", "concurrent_limit:max_concurrent=2,cost=cost")  # fmt: skip
    assert done.code == 1
    refused = rows("out.jsonl")[1]
    assert (
        refused["error"]["type"] == "CostTooLargeError" and refused["attempts"] == 0 and refused["started_at"] is None
    )


def test_results_that_are_no_json(atm: Any, write: Any) -> None:
    """They are shown as well as can be; an exception that cannot be shown does not stop anything."""
    write(
        "odd.py",
        """
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        async def result(text): return {1, 2}
        async def error(text): raise Odd
    """,
    )
    write("in.txt", "a\n")
    assert json.loads(atm("run", "odd.py:result", "-i", "in.txt").out)["result"] == [1, 2]
    done = atm("run", "odd.py:error", "-i", "in.txt")
    assert done.code == 1 and json.loads(done.out)["error"]["type"] == "Odd"


def test_the_same_command_goes_on(atm: Any, write: Any, folder: Any) -> None:
    """With a journal, finished inputs are not run again, and the output has each input once."""
    command = ("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "-j", "run.sqlite")
    write("in.jsonl", "1\n-1\n2\n")
    assert atm(*command, "--limit", "2").code == 1
    first = (folder / "out.jsonl").read_bytes()
    done = atm(*command)
    assert done.code == 1 and "1 done, 2 before (1 failed)" in done.err  # the output still has a failure
    assert (folder / "out.jsonl").read_bytes().startswith(first) and len(rows("out.jsonl")) == 3
    write("in.jsonl", "1\n-1\n2\n3\n")  # grown meanwhile
    assert "1 done, 3 before" in atm(*command).err
    assert "0 done, 4 before" in atm(*command).err
    os.remove("out.jsonl")
    assert atm(*command).code == 1
    assert sorted(row["index"] for row in rows("out.jsonl")) == [0, 1, 2, 3]
    plan = json.loads(atm(*command, "--dry-run", "--json").out)
    assert plan["finished"] == 4 and plan["inputs"] == 4


def test_retry_failed_and_restart(atm: Any, write: Any) -> None:
    """What failed can be run again, and everything."""
    command = ("run", "jobs.py:flaky", "-i", "in.txt", "-o", "out.jsonl", "-j", "run.sqlite")
    write("in.txt", "a\nb\n")
    assert atm(*command, "--limit", "1").code == 1  # the function fails twice for each text
    assert atm(*command).code == 1
    done = atm(*command, "--retry-failed")
    assert done.code == 1, "each run imports the function anew: it fails again"
    write("jobs.py", "async def flaky(text):\n    return text\n")
    time.sleep(0.01)
    done = atm(*command, "--retry-failed")
    assert done.code == 0 and "2 done" in done.err
    assert [row.get("result") for row in rows("out.jsonl")] == ["a", "b"]
    assert "0 done, 2 before" in atm(*command).err
    done = atm(*command, "--restart")
    assert "2 done, " in done.err and "before" not in done.err and len(rows("out.jsonl")) == 2


@pytest.mark.parametrize("window, clean, least", [(0.4, True, 0.3), (0.4, False, 0.4), (0.0, False, 0.0)])
def test_after_a_crash_the_old_windows_pass_first(
    atm: Any, write: Any, window: float, clean: bool, least: float
) -> None:
    """Starts of the run before count: the next one begins when no window has both."""
    write("in.txt", "a\nb\n")
    strategy = f"fixed_window:max_requests=1,window_seconds={window}" if window else "concurrent_limit:max_concurrent=1"
    command = ("run", "jobs.py:shout", "-i", "in.txt", "-o", "out.jsonl", "-j", "run.sqlite", "-s", strategy)
    assert atm(*command, "--limit", "1").code == 0
    if not clean:
        db = sqlite3.connect("run.sqlite")
        db.execute("UPDATE meta SET value = '0' WHERE name = 'clean'")
        db.commit()
        db.close()
    resumed_at = time.time()
    assert atm(*command).code == 0
    first, second = rows("out.jsonl")
    assert second["started_at"] - first["started_at"] >= window
    assert second["started_at"] >= (first["ended_at"] if clean else resumed_at) + least - 0.02
    assert second["started_at"] - resumed_at < 2 * window + 1.5


def test_without_a_journal_the_output_is_begun_anew(atm: Any, write: Any) -> None:
    """As of a compiler; but wrong usage leaves the old one alone."""
    write("in.txt", "a\n")
    write("out.jsonl", "old\n")
    assert atm("run", "jobs.py:nothing", "-i", "in.txt", "-o", "out.jsonl").code == 2
    assert pathlib.Path("out.jsonl").read_text() == "old\n"
    assert atm("run", "jobs.py:shout", "-i", "in.txt", "-o", "out.jsonl").code == 0
    assert [row["input"] for row in rows("out.jsonl")] == ["a"]


def test_bad_input_in_the_middle(atm: Any, write: Any) -> None:
    """What was read before is finished and written; then it is told, with exit code 2."""
    write("in.jsonl", "1\n2\n{\n3\n")
    done = atm("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "-j", "run.sqlite")
    assert done.code == 2 and [row["result"] for row in rows("out.jsonl")] == [2, 4]
    assert "in.jsonl: line 3 is not JSON" in done.err and "goes on" in done.err and done.err.count("\n") == 1
    write("in.jsonl", "1\n2\n4\n3\n")
    assert atm("run", "jobs.py:double", "-i", "in.jsonl", "-o", "out.jsonl", "-j", "run.sqlite").code == 0


def test_a_strategy_that_cannot_start(atm: Any, write: Any) -> None:
    """What a strategy's start hook raises is one line."""
    write(
        "bad.py",
        """
        from atm_core import hookimpl
        class Bad:
            @hookimpl
            def atm_manager_started(self): raise OSError("no such device")
    """,
    )
    write("in.txt", "a\n")
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-s", "bad:Bad")
    assert done.code == 2 and "no such device" in done.err and done.err.count("\n") == 1


def test_work_that_cancels_itself(atm: Any, write: Any) -> None:
    """It has failed, and is told as such."""
    write("self.py", "import asyncio\nasync def work(text):\n    raise asyncio.CancelledError\n")
    write("in.txt", "a\n")
    done = atm("run", "self.py:work", "-i", "in.txt")
    assert done.code == 1 and json.loads(done.out)["error"]["type"] == "CancelledError"
