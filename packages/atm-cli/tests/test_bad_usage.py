"""Bad usage gives one clear line and the right exit code, never a traceback."""

from __future__ import annotations

from typing import Any, List

import pytest

RUN = ["run", "jobs.py:shout", "-i", "in.txt"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["run", "nowhere.py:shout", "-i", "in.txt"], "nowhere.py: no such file"),
        (["run", "jobs.py:shuot", "-i", "in.txt"], "jobs.py has no function 'shuot'; did you mean 'shout'?"),
        (["run", "jobs.py", "-i", "in.txt"], "write FILE.py:FUNCTION or package.module:FUNCTION"),
        (["run", "folder.py:shout", "-i", "in.txt"], "folder.py is a directory"),
        (["run", "no.such.module:shout", "-i", "in.txt"], "there is no module 'no.such.module'"),
        (["run", "broken.py:shout", "-i", "in.txt"], "broken.py cannot be imported: SyntaxError"),
        (
            ["run", "needy.py:shout", "-i", "in.txt"],
            "needy.py cannot be imported: ModuleNotFoundError: No module named 'no_such",
        ),
        (["run", "leaving.py:shout", "-i", "in.txt"], "leaving.py cannot be imported: SystemExit: 3"),
        (["run", "jobs.py:Thing", "-i", "in.txt"], "jobs.py:Thing is no function, it is a class"),
        (["run", "jobs.py:number", "-i", "in.txt"], "jobs.py:number is no function, it is an int"),
        (["run", "jobs.py:generator", "-i", "in.txt"], "is a generator function"),
        (["run"], "Missing argument 'TARGET'"),
        (["run", "jobs.py:shout", "-i", "nowhere.txt"], "nowhere.txt: No such file or directory"),
        (["run", "jobs.py:shout", "-i", "."], ".: Is a directory"),
        (["run", "jobs.py:shout", "-i", "latin.txt"], "latin.txt: line 1 is not utf-8 (byte 0xf6 at position 3)"),
        (
            ["run", "jobs.py:shout", "-i", "in.csv", "--column", "nmae"],
            "in.csv has no column 'nmae': did you mean 'name'?",
        ),
        ([*RUN, "--column", "x"], "--column needs inputs with fields"),
        ([*RUN, "--encoding", "x"], "--encoding x"),
        ([*RUN, "--format", "xml"], "'xml' is not one of"),
        ([*RUN, "--limit", "-1"], "-1 is not in the range"),
        ([*RUN, "--limt", "1"], "No such option"),
        ([*RUN, "-o", "."], ".: Is a directory"),
        ([*RUN, "-o", "nowhere/out.jsonl"], "nowhere/out.jsonl: No such file or directory"),
        ([*RUN, "-o", "in.txt"], "in.txt is the input"),
        ([*RUN, "-j", "."], ". is a directory: --journal needs a file"),
        ([*RUN, "-j", "jobs.py"], "jobs.py is no journal of atm run"),
        ([*RUN, "-j", "nowhere/run.sqlite"], "nowhere/run.sqlite: the journal cannot be opened"),
        ([*RUN, "--restart"], "--restart and --retry-failed need a --journal"),
        (
            [*RUN, "-s", "concurent_limit:max_concurrent=2"],
            "no strategy named 'concurent_limit': did you mean 'concurrent_limit'?",
        ),
        (
            [*RUN, "-s", "concurrent_limit:max_concurent=2"],
            "--strategy concurrent_limit: unknown key 'max_concurent': did you mean",
        ),
        (
            [*RUN, "-s", "concurrent_limit:max_concurrent=0"],
            "--strategy concurrent_limit: max_concurrent must be greater than 0, got 0",
        ),
        ([*RUN, "-s", "concurrent_limit"], "--strategy concurrent_limit: max_concurrent (int) is missing"),
        ([*RUN, "-s", "concurrent_limit:20"], "name the parameter"),
        ([*RUN, "-s", "jobs:shout"], "--strategy jobs:shout"),
        ([*RUN, "-s", "jobs:Nope"], "no strategy at 'jobs:Nope'"),
        ([*RUN, "-c", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        ([*RUN, "-c", "."], ".: Is a directory"),
        ([*RUN, "-c", "atm.toml", "-p", "c"], "no profile 'c'"),
        ([*RUN, "-c", "atm.toml"], "holds 2 profiles (a, b): say which one"),
        ([*RUN, "-p", "a"], "--profile a needs a --config"),
        ([*RUN, "-c", "atm.toml", "-p", "b"], "unknown key 'strategy'"),
        (["rnu"], "No such command 'rnu'"),
        (["strategies", "show", "retyr"], "no strategy named 'retyr'"),
        (["check", "nowhere.toml"], "nowhere.toml: No such file"),
        (["check", "."], ".: Is a directory"),
        (["simulate", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["simulate", "atm.toml", "-p", "a", "--arrival", "possion:3/s"], "did you mean poisson?"),
        (["simulate", "atm.toml", "-p", "a", "--arrival", "poisson:0/s"], "'0/s' is no rate"),
        (["simulate", "atm.toml", "-p", "a", "--arrival", "burst:3"], "write burst:TASKS/TIME"),
        (["simulate", "atm.toml", "-p", "a", "--duration", "2 parsecs"], "'2 parsecs'"),
        (["simulate", "atm.toml", "-p", "a", "--duration", "lognormal:1s:-2"], "'-2' must be a number above 0"),
        (["simulate", "atm.toml", "-p", "a", "--outage", "9s-3s"], "'9s-3s' is no span of time"),
        (["simulate", "atm.toml", "-p", "a", "--field", "host"], "--field 'host': write NAME=VALUES"),
        (["simulate", "atm.toml", "-p", "a", "--field", "host=zipf:x"], "zipf needs the number of values"),
        (["simulate", "atm.toml", "-p", "a", "--failure", "2"], "2.0 is not in the range"),
        (["simulate", "atm.toml", "-p", "a", "--start", "noon"], "--start noon: write a time in UTC"),
        (["simulate", "atm.toml", "-p", "a", "--plot", "x.gif"], "its name must end in .svg, .png, .pdf"),
        (["simulate", "atm.toml", "-p", "a", "--plot", "nowhere/x.svg"], "there is no such folder"),
        (["new", "Not A Name"], "name must be lower-case words with hyphens"),
        (["new", "atm-there"], "atm-there: is there already"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_one_clear_line(atm: Any, write: Any, folder: Any, arguments: List[str], message: str) -> None:
    """Exit code 2, one line on stderr that says what is wrong, nothing on stdout."""
    write("in.txt", "a\n")
    write("in.csv", "name,n\na,1\n")
    (folder / "latin.txt").write_bytes("grö".encode("latin-1"))
    write("broken.py", "def shout(:\n")
    write("needy.py", "import no_such_module_at_all\n")
    write("leaving.py", "import sys\nsys.exit(3)\n")
    (folder / "folder.py").mkdir()
    (folder / "atm-there").mkdir()
    write("atm.toml", '[a]\nstrategies = [{name = "concurrent_limit", max_concurrent = 2}]\n[b]\nstrategy = 3\n')
    done = atm(*arguments)
    assert message in done.err
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1) and done.err.startswith("atm: ")
    assert "Traceback" not in done.err


def test_a_full_disk_at_the_output(atm: Any, write: Any) -> None:
    """The device that is always full."""
    write("in.txt", "a\n")
    done = atm("run", "jobs.py:shout", "-i", "in.txt", "-o", "/dev/full")
    assert (done.code, done.err) == (2, "atm: /dev/full: No space left on device\n")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [RUN, ["strategies"], ["strategies", "show", "concurrent_limit"], ["schema"]])
def test_a_full_disk_behind_stdout(spawn: Any, write: Any, arguments: List[str]) -> None:
    """One line, also when the interpreter ends and flushes once more."""
    write("in.txt", "a\n")
    with open("/dev/full", "w") as full:
        process = spawn(*arguments, stdout=full)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (2, "atm: stdout: No space left on device\n")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["run", "jobs.py:shout"], ["schema"]])
def test_a_broken_pipe(spawn: Any, write: Any, arguments: List[str]) -> None:
    """The reader of stdout goes away: one line, exit code 2."""
    write("in.txt", "line\n" * 20_000)
    with open("in.txt") as stdin:
        process = spawn(*arguments, stdin=stdin)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=30)
    assert (process.returncode, err) == (2, "atm: stdout: its reader went away (broken pipe)\n")


@pytest.mark.slow
def test_ascii_surroundings(spawn: Any, write: Any) -> None:
    """A terminal that knows ASCII only gets escapes; results are UTF-8 anyway."""
    write("in.txt", "grün\n")
    write("no.toml", 'strategies = ["grün"]\n')
    surroundings = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    process = spawn("run", "jobs.py:shout", "-i", "in.txt", env=surroundings, encoding="utf-8")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and '"result": "GRÜN"' in out, err
    process = spawn("run", "jobs.py:shout", "-i", "in.txt", "-c", "no.toml", env=surroundings)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2 and r"gr\xfcn" in err and "Traceback" not in err


def test_no_command(atm: Any) -> None:
    """Help, and exit code 2."""
    done = atm()
    assert done.code == 2 and "Usage: atm" in done.err + done.out


def test_help_of_every_command(atm: Any) -> None:
    """Exit code 0."""
    for command in ("run", "strategies", "check", "schema", "simulate", "new", "completion"):
        done = atm(command, "--help")
        assert done.code == 0 and f"Usage: atm {command}" in done.out
    assert "run" in atm("--help").out and atm("--version").out.startswith("atm, version ")
