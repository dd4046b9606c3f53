"""``atm simulate``: the same to the byte, and right."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any, Dict

import pytest

CONFIG = """
[limits]
strategies = [
  { name = "fixed_window", max_requests = 40, window_seconds = 2.0 },
  { name = "concurrent_limit", max_concurrent = 8, key = "host" },
]
[one]
strategies = [{ name = "concurrent_limit", max_concurrent = 1 }]
[free]
[again]
strategies = ["rules:Again"]
[never]
strategies = ["rules:Never", { name = "concurrent_limit", max_concurrent = 3 }]
[refuses]
strategies = ["rules:Refuses"]
[seeded]
strategies = ["rules:Seeded"]
[breaker]
strategies = ["rules:Breaker"]
"""
RULES = """
import math, random
from atm_core import TaskRejected, hookimpl
class Again:
    @hookimpl
    def atm_again(self, task, outcome, now):
        if outcome.failed and task.attempts < 10: return now + 1.0
class Never:
    @hookimpl
    def atm_ready_at(self, task, now): return now if now < 3 else math.inf
    def explain(self, task, now): return "it is over"
class Refuses:
    @hookimpl
    def atm_admit(self, task, now):
        if now > 1: raise TaskRejected("too late")
class Seeded:
    def __init__(self, seed=None): self._random = random.Random(seed)
    @hookimpl
    def atm_admitted(self, task, now): task.not_before = now + self._random.random()
class Breaker:
    since = 0.0
    @hookimpl
    def atm_began(self, task, now): self.since = now
    def stats(self):
        state = "open" if 1 < self.since < 2 else "half_open" if 2 <= self.since < 2.5 else "closed"
        return {"closed": state == "closed", "half_open": state == "half_open", "open": state == "open", "mood": state}
"""


@pytest.fixture
def simulate(atm: Any, write: Any) -> Any:
    """``simulate("profile", ...)``: the figures."""
    write("sim.toml", CONFIG)
    write("rules.py", RULES)

    def run(profile: str, *options: Any, code: int = 0) -> Dict[str, Any]:
        done = atm("simulate", "sim.toml", "-p", profile, "--json", *options)
        assert done.code == code and done.err.startswith("atm: simulated in "), done.err
        return json.loads(done.out)  # type: ignore[no-any-return]

    return run


def test_a_queue_that_can_be_computed(simulate: Any) -> None:
    """One at a time, 1 s each, one every 0.5 s: the n-th waits n * 0.5 s."""
    told = simulate("one", "--tasks", 9, "--arrival", "constant:2/s", "--duration", "1s")
    assert told["seconds"] == 9.0 and told["throughput"] == 1.0 and told["succeeded"] == 9
    assert told["wait_seconds"] == {"p50": 2.0, "p95": 4.0, "p99": 4.0, "most": 4.0}
    assert told["running"] == {"mean": 1.0, "most": 1} and told["queue"]["most"] == 4
    assert told["queue"]["mean"] == pytest.approx(sum(range(9)) * 0.5 / 9.0)
    assert told["most_starts_in_any"] == {"1 s": 1, "60 s": 9}
    assert [(one["strategy"], one["share"]) for one in told["waited_for"]] == [("concurrent_limit", 1.0)]
    assert told["waited_for"][0]["task_seconds"] == pytest.approx(18.0)


def test_windows_and_keys(simulate: Any) -> None:
    """The worst window of any position, and who waits for whom."""
    told = simulate("limits", "--tasks", 2000, "--arrival", "at-once", "--duration", "0.01s", "--field", "host=a*3,b")
    [window] = told["windows"]
    assert (window["strategy"], window["max_requests"], window["keys"]) == ("fixed_window", 40, 1)
    assert 40 <= window["most_in_any_window"] <= 79  # what the strategy itself promises
    assert told["running"]["most"] <= 16 and told["queue"]["most"] == 1984
    assert told["seconds"] == pytest.approx((2000 / 40 - 1) * 2.0, abs=0.2)
    assert told["waited_for"][0]["strategy"] == "fixed_window"
    told = simulate("limits", "--tasks", 300, "--arrival", "constant:18/s", "--duration", "2s", "--field", "host=a,b*9")
    assert next(iter(told["waited_for"][0]["by_key"])) == "b"


def test_failures_outages_and_what_runs_again(simulate: Any) -> None:
    """A share of the attempts fails, and everything that begins in an outage."""
    load = ("--tasks", 1000, "--arrival", "constant:100/s", "--duration", "0s")
    told = simulate("free", *load, "--failure", "0.1")
    assert 70 < told["failed"] < 130 and told["failed"] + told["succeeded"] == told["attempts"] == 1000
    told = simulate("free", *load, "--outage", "2s-3s", "--outage", "9s-99s")
    assert told["failed"] == 200
    told = simulate("again", *load, "--outage", "2s-3s")
    assert told["failed"] == 0 and told["attempts"] == 1100 and told["succeeded"] == 1000
    assert told["most_starts_in_any"]["1 s"] == 200


def test_what_can_never_start(simulate: Any, atm: Any) -> None:
    """It ends, says how many and why, and the exit code is 1."""
    told = simulate("never", "--tasks", 1000, "--arrival", "constant:100/s", "--duration", "0.1s", code=1)
    assert told["never_started"] == 1000 - told["succeeded"] > 800
    assert told["never_started_why"] == "never: it is over"
    assert told["seconds"] == pytest.approx(9.99)
    text = atm("simulate", "sim.toml", "-p", "never", "-n", "400").out
    assert "NEVER ENDS" in text and "it is over" in text


def test_what_is_refused(simulate: Any) -> None:
    """By a strategy at admission: it is counted, and nothing else."""
    told = simulate("refuses", "--tasks", 300, "--arrival", "constant:100/s", "--duration", "0s")
    assert told["rejected"] == 199 and told["succeeded"] == 101


def test_the_wall_clock_starts_where_it_is_told(simulate: Any, write: Any) -> None:
    """For strategies that go by it: windows on multiples of an hour."""
    write(
        "sim.toml", '[hour]\nstrategies = [{name="fixed_window", max_requests=1, window_seconds=3600, align="epoch"}]\n'
    )
    told = simulate("hour", "--tasks", 2, "--arrival", "at-once", "--duration", "0s", "--start", "2024-03-31T00:30")
    assert told["seconds"] == 1800.0


@pytest.mark.slow
def test_the_same_to_the_byte(spawn: Any, write: Any) -> None:
    """In any process, text and JSON and picture; another seed gives another result."""
    write("sim.toml", CONFIG)
    write("rules.py", RULES)
    found = []
    for hash_seed, seed in (("1", "5"), ("2", "5"), ("3", "6")):
        outputs = []
        for profile, extra in (("limits", ["--json"]), ("again", []), ("seeded", ["--plot", "seeded.svg"])):
            process = spawn(
                "simulate", "sim.toml", "-p", profile, "-n", "400", "--failure", "0.1", "--outage", "4s-6s",
                "--field", "host=zipf:5", "--seed", seed, *extra, env={"PYTHONHASHSEED": hash_seed},
            )  # fmt: skip
            outputs.append(process.communicate(timeout=60)[0])
            assert process.returncode == 0
        outputs.append(pathlib.Path("seeded.svg").read_bytes())
        found.append(outputs)
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2]))


@pytest.mark.slow
def test_an_hour_of_a_hundred_a_second(atm: Any, write: Any) -> None:
    """360,000 tasks take less than a minute of this process's time."""
    config = CONFIG.replace("max_requests = 40, window_seconds = 2.0", "max_requests = 6100, window_seconds = 60.0")
    write("sim.toml", config.replace("max_concurrent = 8", "max_concurrent = 80"))
    began = time.process_time()
    done = atm("simulate", "sim.toml", "-p", "limits", "-n", "360000", "--arrival", "constant:100/s", "--json")
    told = json.loads(done.out)
    assert told["succeeded"] == 360_000 and told["seconds"] == pytest.approx(3600, abs=5)
    assert time.process_time() - began < 60


def test_in_words_and_pictures(atm: Any, write: Any) -> None:
    """The page for people: each figure, a line for each quantity, states as letters; a PNG and an SVG."""
    write("sim.toml", CONFIG)
    write("rules.py", RULES)
    options = (
        "-n",
        "300",
        "--arrival",
        "constant:100/s",
        "--duration",
        "0.1s",
        "--failure",
        "0.02",
        "--outage",
        "1s-2s",
    )
    done = atm("simulate", "sim.toml", "-p", "breaker", *options, "--plot", "a.png")
    for part in ("load", "throughput", "results", "wait", "queue", "running", "most starts", "starts/s", "0-107"):
        assert part in done.out, part
    assert "C closed, H half open, O open" in done.out and "CCCOOO" in done.out and "OOOHHH" in done.out
    assert pathlib.Path("a.png").read_bytes().startswith(b"\x89PNG")
    atm("simulate", "sim.toml", "-p", "breaker", *options, "--plot", "a.svg")
    svg = pathlib.Path("a.svg").read_text()
    assert svg.startswith("<?xml") and "2024" not in svg.split("<defs>")[0].replace("2024-01-01", "")
