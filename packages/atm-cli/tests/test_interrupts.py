"""Signals, endless pipes, and a terminal: in processes of their own."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List

import pytest

pytestmark = pytest.mark.slow


def rows(path: str) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def wait_for_lines(path: str, lines: int) -> None:
    deadline = time.monotonic() + 30
    while not os.path.exists(path) or len(pathlib.Path(path).read_bytes().splitlines()) < lines:
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.02)


def command(write: Any, function: str = "slow") -> List[str]:
    write("in.txt", "".join(f"{number}\n" for number in range(40)))
    limit = "concurrent_limit:max_concurrent=4"
    return ["run", f"jobs.py:{function}", "-i", "in.txt", "-o", "out.jsonl", "-j", "run.sqlite", "-s", limit]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_drains(spawn: Any, write: Any, number: int) -> None:
    """What runs may end and is written, nothing more starts; exit code 130; the same command does the rest."""
    process = spawn(*command(write))
    wait_for_lines("out.jsonl", 4)
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    finished = len(rows("out.jsonl"))
    assert process.returncode == 130 and err.startswith("atm: interrupted: ") and "goes on" in err
    assert finished in (8, 12) and err.count("\n") == 1
    process = spawn(*command(write), "--limit", str(finished + 4))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and f"4 done, {finished} before" in err
    assert sorted(row["index"] for row in rows("out.jsonl")) == list(range(finished + 4))


def test_twice_cancels(spawn: Any, write: Any) -> None:
    """What runs is cancelled and not in the output: it is left for the next run."""
    write("long.py", "import asyncio\nasync def work(text):\n    await asyncio.sleep(0 if text < '2' else 60)\n")
    write("in.txt", "1\n2\n3\n")
    process = spawn("run", "long.py:work", "-i", "in.txt", "-o", "out.jsonl", "-j", "run.sqlite")
    wait_for_lines("out.jsonl", 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None, "the first one lets it run"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted: 1 done" in err
    assert [row["input"] for row in rows("out.jsonl")] == ["1"]


def test_twice_leaves_threads_behind(spawn: Any, write: Any) -> None:
    """A thread cannot be cancelled: it is not waited for."""
    process = spawn(*command(write, "stuck"), "--json")
    wait_for_lines("out.jsonl", 0)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert json.loads(out)["interrupted"] is True


def test_interrupted_at_a_silent_pipe(spawn: Any, write: Any) -> None:
    """Nothing comes and nothing runs: it ends at once."""
    process = spawn("run", "jobs.py:shout", "-o", "out.jsonl", stdin=subprocess.PIPE)
    process.stdin.write("one\n")
    process.stdin.flush()
    wait_for_lines("out.jsonl", 1)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=10)
    assert process.returncode == 130 and process.stderr.read().startswith("atm: interrupted: 1 done")


def test_an_endless_pipe_in_bounded_memory(spawn: Any, write: Any) -> None:
    """Inputs are read as there is room: ten times as many do not take more memory."""
    write("in.py", "while True:\n    print('x' * 1000)\n")
    with subprocess.Popen([sys.executable, "in.py"], stdout=subprocess.PIPE) as source:
        process = spawn("run", "jobs.py:shout", "-o", "out.jsonl", "--max-in-flight", "200", stdin=source.stdout)
        try:
            sizes = []
            for lines in (2_000, 20_000):
                wait_for_lines("out.jsonl", lines)
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
            source.kill()
    assert process.returncode == 130
    assert sizes[1] < sizes[0] + 4_000, "in KiB; all of the text would be 20,000"


def test_a_line_every_few_seconds(spawn: Any, write: Any) -> None:
    """Without a terminal the progress is lines: how many, and what they wait for."""
    write(
        "often.py",
        """
        import sys
        from atm_cli.running import progress
        progress._LINE_SECONDS = 0.4
        from atm_cli.main import main
        sys.exit(main(sys.argv[1:]))
    """,
    )
    path = os.pathsep.join(one for one in sys.path if one)
    limited = [*command(write), "--limit", "12"]
    done = subprocess.run(
        [sys.executable, "often.py", *limited],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        timeout=30,
    )
    first = done.stderr.decode().splitlines()[0]
    assert first.startswith("atm: ") and " of 12 done, 4 running" in first
    assert "waiting (concurrent_limit: 4 of 4 slots are taken)" in first


def test_a_bar_on_a_terminal(write: Any, folder: Any) -> None:
    """A bar, how many run and wait, and below them what they wait for."""
    import pty

    path = os.pathsep.join(one for one in sys.path if one)
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "atm_cli", *command(write), "--limit", "8"], env=environment, stderr=slave, stdout=slave
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    assert process.wait(timeout=30) == 0
    os.close(master)
    text = shown.decode()
    assert "━" in text and "4 running" in text and "of 8 done" in text
    assert "waits for concurrent_limit: 4 of 4 slots are taken" in text
    assert "atm: 8 done" in text.rstrip().splitlines()[-1]
