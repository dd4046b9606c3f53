"""Rules about the code itself: one way of imports, public names, nothing done at import, docs that match."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import async_task_manager
import atm_core
import atm_plugins
from atm_core import hookspecs
from atm_core.calls import ARGUMENTS

ROOT = Path(atm_core.__file__).parent

#: Each module may import what stands before it.
ORDER = [
    "compat", "errors", "settings", "outcome", "work", "task", "hookspecs", "calls", "plugins", "discovery", "strategy",
    "slots", "lanes", "lane_queue", "keyed_lanes", "admission", "completion", "starts", "attempts", "waits", "alarms",
    "sleepers", "scheduler", "life", "four_methods", "report", "mapping", "threads",
    "manager", "config",
]  # fmt: skip


def modules(package):
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [one.name for one in found if not one.name.endswith("__main__")]


def imports_of(path, typing_too=False):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(tree.body)
    found = []
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing_too:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found.extend(one.name for one in node.names)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_one_way(name):
    allowed = ORDER[: ORDER.index(name)]
    path = ROOT / f"{name}.py"
    wanted = [one.partition(".")[2] for one in imports_of(path) if one.startswith("atm_core.")]
    assert [one for one in wanted if one not in allowed] == []


def test_every_module_of_the_core_has_its_place():
    names = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__", "template"}
    assert names == set(ORDER)


def test_strategies_stand_on_public_names_only():
    public = {"atm_core", "atm_core.strategy"}
    for path in Path(atm_plugins.__file__).parent.glob("*.py"):
        used = {one for one in imports_of(path, typing_too=True) if one.startswith("atm_core")}
        assert used <= public


@pytest.mark.parametrize("package", [atm_core, atm_plugins, async_task_manager])
def test_all_lists_what_is_public(package):
    for name in [package.__name__, *modules(package)]:
        if "testing" in name:
            continue
        module = importlib.import_module(name)
        exported = module.__all__
        assert len(set(exported)) == len(exported)
        for one in exported:
            assert hasattr(module, one)
        defined = [
            key
            for key, thing in vars(module).items()
            if not key.startswith("_") and getattr(thing, "__module__", None) == name and callable(thing)
        ]
        assert set(defined) <= set(exported)


def test_the_core_imports_nothing_that_it_does_not_depend_on():
    foreign = ("pytest", "hypothesis", "click", "rich")
    code = f"import sys, atm_core; print(sorted(set(sys.modules) & set({foreign})))"
    assert subprocess.check_output([sys.executable, "-c", code], universal_newlines=True).strip() == "[]"


def test_direct_calls_know_the_arguments_of_every_hook():
    specified = {}
    for phase in hookspecs.SPECS:
        for name, function in vars(phase).items():
            if name.startswith("atm_"):
                code = function.__code__
                specified[name] = code.co_varnames[1 : code.co_argcount]
    assert specified == ARGUMENTS


def test_the_hooks_reference_matches_the_specifications():
    page = ROOT.parent / "docs" / "hooks.md"
    rows = dict(re.findall(r"^### `(atm_\w+)\((.*?)\)", page.read_text(encoding="utf-8"), re.M))
    assert {name: tuple(arguments.split(", ")) for name, arguments in rows.items()} == ARGUMENTS


def test_only_public_pluggy():
    for path in [*ROOT.rglob("*.py"), *Path(atm_plugins.__file__).parent.rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"pluggy\._|_inner_hookexec|\._hookimpls", source), path
