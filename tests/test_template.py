"""``python -m atm_core new atm-something`` makes a package that installs, and passes the kit at once."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from atm_core import SettingError
from atm_core.__main__ import main
from atm_core.template import create


def ran(*command: str, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=str(cwd),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def fresh_python(tmp_path: Path) -> str:
    """A new virtual environment which borrows what this one has installed, so that nothing is downloaded."""
    home = tmp_path / "venv"
    venv.EnvBuilder(symlinks=os.name != "nt").create(str(home))
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    site = ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = [f"import site; site.addsitedir({path!r})" for path in borrowed]
    Path(site, "borrowed.pth").write_text("\n".join(lines))
    return python


@pytest.mark.slow
def test_a_new_package_installs_and_passes_its_tests(tmp_path: Path, fresh_python: str) -> None:
    says = ran(sys.executable, "-m", "atm_core", "new", "atm-some-thing", "--directory", str(tmp_path), cwd=tmp_path)
    root = tmp_path / "atm-some-thing"
    assert f"{root} is ready" in says
    pip = [
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
    ]
    ran(fresh_python, *pip, str(root), cwd=tmp_path)
    listed = "from atm_core.discovery import installed_strategies; print(installed_strategies())"
    assert (
        "'some_thing', value='atm_some_thing:SomeThingStrategy', distribution='atm-some-thing', version='0.1.0'"
        in ran(fresh_python, "-c", listed, cwd=tmp_path)
    )
    tested = ran(fresh_python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=root)
    assert " passed" in tested and "skipped" not in tested


def test_the_program_of_its_readme_runs(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    root = create("another", tmp_path)
    assert root == tmp_path / "atm-another"
    monkeypatch.syspath_prepend(str(root / "src"))
    program = (root / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == "0\n1\n4\n"


def test_every_placeholder_is_filled_in(tmp_path: Path) -> None:
    files = [path for path in create("atm-x2-y", tmp_path).rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == [
        "README.md", "__init__.py", "py.typed", "pyproject.toml", "test_conformance.py", "test_x2_y.py"
    ]  # fmt: skip
    assert not [path for path in files if "$" in path.read_text(encoding="utf-8")]
    assert "class X2YStrategy(Gate):" in (tmp_path / "atm-x2-y/src/atm_x2_y/__init__.py").read_text(encoding="utf-8")


def test_what_exists_is_left_alone(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "atm-mine").mkdir()
    with pytest.raises(FileExistsError):
        create("atm-mine", tmp_path)
    assert main(["new", "atm-mine", "--directory", str(tmp_path)]) == 1
    assert "atm-mine" in capsys.readouterr().err
    assert not list((tmp_path / "atm-mine").iterdir())


@pytest.mark.parametrize(
    "name",
    ["", "atm", "Atm-X", "atm_x", "atm-", "9x", "atm-9x", "atm-3-4", "a--b", "a b", "../x", "x;y", "x\n", "é", None],
)
def test_a_name_that_cannot_be_one_is_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"name must be lower-case words .*, such as atm-something, got "):
        create(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_name_of_an_installed_strategy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"async-task-manager 1.* offers a strategy 'concurrent_limit'"):
        create("atm-concurrent-limit", tmp_path)


@pytest.mark.parametrize("name", ["atm-core", "core", "atm-plugins"])
def test_the_name_of_an_installed_module_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"name must be a new one, but there is a module atm_(core|plugins) at "):
        create(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_file_takes_the_place_of_another(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="name must not be that of the kit's test module, got 'conformance'"):
        create("conformance", tmp_path)


@pytest.mark.parametrize("name", ["atm-class", "atm-atm-x", "none", "x2-3y", "strategy", "match", "gate"])
def test_a_word_of_the_language_or_of_this_library_is_a_name_as_well(name: str, tmp_path: Path) -> None:
    for path in create(name, tmp_path).rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_wrong_usage_exits_with_2(capsys: Any) -> None:
    for arguments in ([], ["old"], ["new"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
        assert "usage: python -m atm_core" in capsys.readouterr().err
