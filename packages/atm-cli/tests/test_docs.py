"""What the README and docs/cli.md show, runs."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Any, Dict, List

import pytest

PACKAGE = pathlib.Path(__file__).parents[1]
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
PAGE = (PACKAGE.parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def files(page: str) -> Dict[str, str]:
    """The blocks that begin with a comment that names a file."""
    found = {}
    for _, text in BLOCK.findall(page):
        first, _, rest = text.partition("\n")
        if re.fullmatch(r"# \S+\.\w+", first):
            found[first[2:]] = rest
    return found


def commands(page: str) -> List[str]:
    """What follows a ``$`` in console blocks."""
    shown = "".join(text for kind, text in BLOCK.findall(page) if kind == "console")
    return [line[2:] for line in shown.replace("\\\n", " ").splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("program", [text for kind, text in BLOCK.findall(README) if kind == "python"])
def test_the_program_of_the_readme(program: str, folder: Any, capfd: Any) -> None:
    """It prints what it says."""
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
    assert capfd.readouterr().out.splitlines() == re.findall(r"# prints: (.*)", program)


def test_the_commands_of_the_readme(atm: Any, write: Any) -> None:
    """With a file of the page: exit code 0."""
    for name, text in files(PAGE).items():
        write(name, text)
    for line in commands(README):
        assert atm(*shlex.split(line)[1:]).code == 0


@pytest.mark.slow
def test_the_commands_of_the_page(write: Any, folder: Any, spawn: Any) -> None:
    """One after the other, as a reader would try them; exit code 0, or 1 where there is a failure to show."""
    for name, text in files(PAGE).items():
        write(name, text)
    lines = commands(PAGE)
    assert len(lines) >= 12
    for line in lines:
        before, _, command = line.rpartition("atm ")
        arguments = shlex.split(command.partition(" > ")[0])
        options: Dict[str, Any] = {}
        if before.startswith("cat "):
            options["stdin"] = open(before.split()[1])  # noqa: SIM115
        process = spawn(*arguments, **options)
        out, err = process.communicate(timeout=60)
        if options:
            options["stdin"].close()
        assert process.returncode == 0, (line, out, err)
    assert sorted(one.name for one in folder.iterdir() if one.suffix in (".svg", ".jsonl", ".sqlite")) == [
        "results.jsonl",
        "run.sqlite",
        "shop.svg",
        "sums.jsonl",
    ]


def test_every_option_is_on_the_page() -> None:
    """Of ``run`` and ``simulate``."""
    help_text = ""
    for command in ("run", "simulate"):
        done = subprocess.run(
            [sys.executable, "-c", f"from atm_cli.commands.{command} import command; command(['--help'])"],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(sys.path), "LC_ALL": "C.UTF-8"},
        )
        help_text += done.stdout.decode()
    options = set(re.findall(r"(--[a-z][a-z-]+)", help_text)) - {"--help"}
    assert len(options) > 20
    assert sorted(one for one in options if one not in PAGE) == []


@pytest.mark.slow
def test_the_pictures(tmp_path: Any) -> None:
    """The script draws all that the page shows; the page shows all that there are."""
    spec = importlib.util.spec_from_file_location("pictures", str(PACKAGE / "scripts" / "pictures.py"))
    assert spec is not None and spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    pictures.main(str(tmp_path))
    drawn = sorted(one.name for one in tmp_path.iterdir())
    assert drawn == sorted(set(re.findall(r"\(pictures/([\w-]+\.svg)\)", PAGE)))
    assert drawn == sorted(one.name for one in (PACKAGE.parents[1] / "docs" / "pictures").iterdir())
    shown = {one.name: one.read_text(encoding="utf-8").replace("&#160;", " ") for one in tmp_path.iterdir()}
    assert "6412 of 10000 done" in shown["run.svg"] and "in conflict" not in shown["strategies.svg"]
    assert "circuit_breaker" in shown["simulate.svg"] and "font-face" not in "".join(shown.values())
