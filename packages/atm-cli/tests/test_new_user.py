"""As a new user would: 10,000 URLs of a server with limits and moods, and a machine that dies again and again.

The server answers 429 with Retry-After, fails at random, and drops connections. The run is killed ten times with
SIGKILL and started again with the same command.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.request
from typing import Any, Iterator, List

import pytest

pytestmark = pytest.mark.slow

URLS = 10_000
GONE = 20  # of these, the server knows nothing
KILLS = 10
MOST_AT_ONCE = 20
WINDOW_SECONDS = 0.25
MOST_IN_WINDOW = 420  # the server's limit
# A request is under way for a moment, so those of one window can arrive in another: no more than run at once.
OURS_IN_WINDOW = MOST_IN_WINDOW - MOST_AT_ONCE

SERVER = """
import asyncio, json, random, time

luck = random.Random(7)
log = []  # [began, ended, path, status]

async def serve(reader, writer):
    try:
        while True:
            request = await reader.readuntil(b"\\r\\n\\r\\n")
            path = request.split()[1].decode()
            if path == "/log":
                answer(writer, "200 OK", json.dumps(log))
                continue
            entry = [time.monotonic(), 0.0, path, 0]
            log.append(entry)
            await asyncio.sleep(luck.uniform(0, 0.01))
            entry[1] = time.monotonic()
            mood = luck.random()
            if path.startswith("/gone"):
                entry[3] = 404
                answer(writer, "404 Not Found", "")
            elif mood < 0.02:
                entry[3] = 429
                answer(writer, "429 Too Many Requests", "", "Retry-After: 1\\r\\n")
            elif mood < 0.05:
                entry[3] = 500
                answer(writer, "500 Internal Server Error", "")
            elif mood < 0.06:
                break
            else:
                entry[3] = 200
                answer(writer, "200 OK", "the page " + path)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

def answer(writer, status, body, headers=""):
    data = body.encode()
    writer.write(f"HTTP/1.1 {status}\\r\\n{headers}Content-Length: {len(data)}\\r\\n\\r\\n".encode() + data)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""

CRAWL = """
import asyncio

idle = []  # connections that can be used again

class Gone(Exception):
    pass

class Busy(Exception):
    retry_after = None

async def fetch(url):
    host, path = url.split("/", 3)[2:]
    reader, writer = idle.pop() if idle else await asyncio.open_connection(*host.split(":"))
    try:
        writer.write(f"GET /{path} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().split("\\r\\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["Content-Length"]))
    except BaseException:
        writer.close()
        raise
    idle.append((reader, writer))
    status = int(head[0].split()[1])
    if status == 404:
        raise Gone(url)
    if status != 200:
        error = Busy(status)
        if "Retry-After" in headers:
            error.retry_after = float(headers["Retry-After"])
        raise error
    return body.decode()

def retry_after(error):
    return getattr(error, "retry_after", None)
"""

RULES = """
import collections
from atm_core import Gate, hookimpl

class NeverMore(Gate):
    '''No more than max_requests starts in any window.'''

    def __init__(self, max_requests, window_seconds):
        super().__init__()
        self.max_requests, self.window_seconds = max_requests, window_seconds
        self._starts = collections.deque(maxlen=max_requests)
        self._coming = 0

    @hookimpl
    def atm_ready_at(self, task, now):
        room = self.max_requests - self._coming
        if room <= 0:
            return now + self.window_seconds
        if len(self._starts) < room:
            return now
        return self._starts[len(self._starts) - room] + self.window_seconds

    @hookimpl
    def atm_started(self, task):
        self._coming += 1

    @hookimpl
    def atm_began(self, task, now):
        self._coming -= 1
        self._starts.append(now)
"""


@pytest.fixture
def port(folder: Any, write: Any) -> Iterator[int]:
    """The server's."""
    write("server.py", SERVER)
    with subprocess.Popen([sys.executable, "server.py"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def test_ten_thousand_urls_and_ten_kills(port: int, write: Any, spawn: Any) -> None:
    """Every input stands exactly once in the output, and the server's limits were never exceeded."""
    write("crawl.py", CRAWL)
    write("rules.py", RULES)
    base = f"http://127.0.0.1:{port}"
    urls = [f"{base}/{'gone' if number % (URLS // GONE) == 7 else 'page'}/{number}" for number in range(URLS)]
    write("urls.txt", "\n".join(urls) + "\n")
    command = [
        "run", "crawl.py:fetch", "--input", "urls.txt", "--output", "results.jsonl", "--journal", "run.sqlite",
        "--strategy", f"concurrent_limit:max_concurrent={MOST_AT_ONCE},key=host",
        "--strategy", f"rules:NeverMore:max_requests={OURS_IN_WINDOW},window_seconds={WINDOW_SECONDS}",
        "--strategy", "retry:max_attempts=8,abort_on=crawl:Gone,delay_from=crawl:retry_after,seed=1",
    ]  # fmt: skip
    luck = random.Random(11)
    for kill in range(KILLS):
        before = _size("results.jsonl")
        process = spawn(*command)
        while kill % 3 and process.poll() is None and _size("results.jsonl") < before + 2_000:
            time.sleep(0.01)  # two of three times until it has begun to write, else at whatever it does first
        time.sleep(luck.uniform(0.0, 0.5))
        assert process.poll() is None, process.stderr.read()
        process.kill()
        process.wait()
    process = spawn(*command, "--json")
    out, err = process.communicate(timeout=90)
    summary = json.loads(out)
    assert process.returncode == 1, err
    assert summary["failed_in_all"] == GONE and 0 < summary["resumed"] < URLS

    _check_output(urls)
    with urllib.request.urlopen(f"{base}/log", timeout=30) as answer:
        _check_log(json.loads(answer.read().decode()), urls)


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _check_output(urls: List[str]) -> None:
    rows = [json.loads(line) for line in pathlib.Path("results.jsonl").read_text().splitlines()]
    assert sorted(row["index"] for row in rows) == list(range(URLS))
    for row in rows:
        assert row["input"] == urls[row["index"]] and row["key"] == urls[0].split("/")[2]
        path = row["input"].partition("//")[2].partition("/")[2]
        if path.startswith("gone"):
            assert row["error"]["type"] == "Gone" and "result" not in row
        else:
            assert row["result"] == f"the page /{path}"
    assert max(row["attempts"] for row in rows) > 1


def _check_log(log: List[Any], urls: List[str]) -> None:
    starts = sorted(entry[0] for entry in log)
    first = most = 0
    for last, start in enumerate(starts):
        while starts[first] <= start - WINDOW_SECONDS:
            first += 1
        most = max(most, last - first + 1)
    assert most <= MOST_IN_WINDOW
    changes = sorted([(entry[0], 1) for entry in log] + [(entry[1] or entry[0], -1) for entry in log])
    running = most_running = 0
    for _, change in changes:
        running += change
        most_running = max(most_running, running)
    assert most_running <= MOST_AT_ONCE
    # What was finished was not asked for again, but for what ran, or waited for its commit, when the process died.
    answered = collections.Counter(entry[2] for entry in log if entry[3] in (200, 404))
    assert len(answered) == URLS
    assert sum(answered.values()) - URLS <= KILLS * 20 * MOST_AT_ONCE
    assert {entry[3] for entry in log} >= {200, 404, 429, 500}
