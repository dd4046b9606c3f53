"""The command line, in this process or in one of its own; and the small programs that it runs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import pytest
from atm_cli.main import main

PROGRAM = """
import asyncio, threading, time

attempts = {}

async def shout(text):
    await asyncio.sleep(0)
    return text.upper()

async def double(number):
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * 2

async def flaky(text):
    attempts[text] = attempts.get(text, 0) + 1
    if attempts[text] < 3:
        raise ConnectionError("not yet")
    return attempts[text]

async def columns(row):
    row["new"] = 1
    return sorted(row)

def plain(text):
    return threading.current_thread() is threading.main_thread()

async def noisy(text):
    print("said", text)
    return text

async def slow(text):
    await asyncio.sleep(0.3)
    return text

def stuck(text):
    time.sleep(60)

def generator(text):
    yield text

class Thing:
    async def method(self, text):
        return "method " + text

thing = Thing()
number = 5
"""


class Done(NamedTuple):
    """A command line that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Any, monkeypatch: Any) -> Iterator[Any]:
    """An empty current directory with ``jobs.py`` in it; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "jobs.py").write_text(PROGRAM)
    yield tmp_path
    _forget(tmp_path)


@pytest.fixture
def atm(folder: Any, capfd: Any) -> Callable[..., Done]:
    """``atm("run", ...)`` in this process."""

    def run(*arguments: Any) -> Done:
        _forget(folder)
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def spawn(folder: Any) -> Iterator[Callable[..., Any]]:
    """``spawn("run", ...)`` in a process of its own; a ``Popen`` in text mode, killed at the end of the test."""
    started: List[Any] = []

    def start(*arguments: Any, env: Optional[Dict[str, str]] = None, **options: Any) -> Any:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "universal_newlines": True, **options}
        command = [sys.executable, "-m", "atm_cli", *map(str, arguments)]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": _path(), **(env or {})}, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def write(folder: Any) -> Callable[[str, str], Any]:
    """Write a file into the current directory."""

    def file(name: str, text: str) -> Any:
        path = folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return file


def _forget(folder: Any) -> None:
    """Every run is to import its functions anew, as a process of its own would."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


def _path() -> str:
    """A child finds what we found, however that was."""
    return os.pathsep.join(one for one in sys.path if one)
