"""``atm strategies``, ``check``, ``schema`` and ``new``."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Dict, List

import pytest
from atm_cli.commands.schema import json_types
from atm_cli.manual import manual_of, shown
from atm_cli.strategy_option import parse_strategy


@pytest.fixture
def installed(folder: Any, monkeypatch: Any) -> Any:
    """Small real distributions on the path: ``installed("atm-x", "1.0", x="module:Name")``."""
    monkeypatch.syspath_prepend(str(folder))

    def install(name: str, version: str, **points: str) -> None:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "".join(f"{point} = {value}\n" for point, value in points.items())
        (info / "entry_points.txt").write_text(f"[atm.strategies]\n{lines}")

    return install


def by_name(done: Any) -> Dict[str, List[Dict[str, Any]]]:
    found: Dict[str, List[Dict[str, Any]]] = {}
    for one in json.loads(done.out):
        found.setdefault(one["name"], []).append(one)
    return found


def test_strategies(atm: Any) -> None:
    """The built-in ones are there: name, distribution, version, state."""
    found = by_name(atm("strategies", "--json"))
    for name in ("concurrent_limit", "delayed", "fixed_window"):
        [one] = found[name]
        assert (one["distribution"], one["state"], one["why"]) == ("async-task-manager", "available", None)
    lines = atm("strategies").out.splitlines()
    assert lines[0].split() == ["NAME", "DISTRIBUTION", "VERSION", "STATE"]
    assert ["delayed", "async-task-manager"] in [line.split()[:2] for line in lines]


def test_broken_and_in_conflict(atm: Any, installed: Any, write: Any) -> None:
    """What cannot be imported says why, what two distributions offer says how to pick one; exit code 1."""
    write("needy.py", "import not_there_at_all\n")
    write("leaving.py", "raise SystemExit(3)\n")
    write("fine.py", "class Fine:\n    '''Does nothing.'''\n")
    installed("atm-needy", "1.0", needy="needy:Needy", leaving="leaving:Leaving")
    installed("atm-one", "1.0", both="fine:Fine", fine="fine:Fine")
    installed("atm-two", "2.0", both="fine:Fine")
    done = atm("strategies", "--json")
    found = by_name(done)
    assert done.code == 1
    [needy] = found["needy"]
    assert needy["state"] == "broken" and needy["why"] == "ModuleNotFoundError: No module named 'not_there_at_all'"
    assert found["leaving"][0]["state"] == "broken" and found["fine"][0]["state"] == "available"
    assert [(one["distribution"], one["version"], one["state"]) for one in found["both"]] == [
        ("atm-one", "1.0", "in conflict"),
        ("atm-two", "2.0", "in conflict"),
    ]
    assert "also offered by atm-two: write 'atm-one:both'" in found["both"][0]["why"]
    assert "needy" in atm("strategies").out and "broken: ModuleNotFoundError" in atm("strategies").out
    assert json.loads(atm("strategies", "show", "atm-two:both", "--json").out)["summary"] == "Does nothing."


def test_show(atm: Any) -> None:
    """Parameters with types, defaults and what the docstring says of them."""
    done = atm("strategies", "show", "fixed_window", "--json")
    manual = json.loads(done.out)
    parameters = {one["name"]: one for one in manual["parameters"]}
    assert list(parameters) == ["max_requests", "window_seconds", "align", "key", "cost"]
    assert parameters["max_requests"]["required"] and parameters["max_requests"]["type"] == "int"
    assert parameters["align"]["default"] == "first" and "multiples of window_seconds" in parameters["align"]["doc"]
    assert manual["summary"].startswith("At most max_requests starts in each window")
    assert json.loads(atm("strategies", "--json", "show", "fixed_window").out) == manual
    text = atm("strategies", "show", "fixed_window").out
    assert "align: str = 'first'\n" in text and "max_requests: int (required)\n" in text and "``" not in text


def test_show_one_of_ones_own(atm: Any, write: Any) -> None:
    """A dotted name works, and so does a class that says nothing."""
    write("mine.py", "class Silent:\n    def __init__(self, limit, retry=(OSError,), fn=len): pass\nclass Bare: pass\n")
    text = atm("strategies", "show", "mine:Silent").out
    assert "limit: any (required)" in text and "retry: any = (OSError,)" in text and "fn: any = len" in text
    assert "It takes no parameters." in atm("strategies", "show", "mine:Bare").out


def test_manuals_of_many_lines() -> None:
    """Continued lines belong to their parameter, markup is dropped."""

    class Documented:
        """Does it.

        More on ``it`` (see :class:`~package.module.Other`).

        Args:
            first: One line
                and another.
            second (int): ``x``: a colon inside.

        Raises:
            first: No parameter.
        """

        def __init__(self, first: str = "a", *, second: int) -> None: ...

    manual = manual_of(Documented)
    assert manual.summary == "Does it." and manual.text.endswith("More on it (see Other).")
    first, second = manual.parameters
    assert first.doc == "One line and another." and second.doc == "x: a colon inside."
    assert (first.required, second.required) == (False, True)
    assert shown(("a",)) == "('a',)" and shown((1, OSError)) == "(1, OSError)" and shown(None) == "None"


CONFIG = """
[good]
strategies = [{ name = "concurrent_limit", max_concurrent = 20 }, "again:Again"]

[bad]
max_pendng = 3
strategies = [
  { name = "concurent_limit" },
  { name = "fixed_window", max_requests = 0, window_seconds = -1 },
  { name = "delayed" },
]
"""
AGAIN = """
from atm_core import hookimpl
class Again:
    @hookimpl
    def atm_again(self, task): return None
"""


def test_check_tells_everything_at_once(atm: Any, write: Any) -> None:
    """Every mistake with its place; exit code 1; a good profile is good."""
    write("atm.toml", CONFIG)
    write("again.py", AGAIN)
    done = atm("check", "atm.toml", "--json")
    told = json.loads(done.out)
    assert done.code == 1 and len(told["mistakes"]) == 5
    for part in (
        "'max_pendng'",
        "'concurent_limit'",
        "max_requests must be",
        "window_seconds must be",
        "delay_seconds",
    ):
        assert any(part in one and one.startswith("atm.toml [bad]") for one in told["mistakes"]), part
    assert "atm.toml: 5 mistakes, no warnings" in done.err
    assert atm("check", "atm.toml").out.count("mistake: atm.toml [bad]") == 5
    done = atm("check", "atm.toml", "-p", "good", "--strict")
    assert done.code == 0 and "note: atm.toml [good] strategies[1] (again:Again) may run work again" in done.out


def entry(text: str) -> Dict[str, Any]:
    return parse_strategy(text)


SLOTS = "concurrent_limit:max_concurrent=2"
CASES = [
    (["fixed_window:max_requests=300,window_seconds=1", SLOTS], "cannot be reached with the 2 slots of strategies[1]"),
    (["fixed_window:max_requests=300,window_seconds=10", SLOTS], ""),
    (["fixed_window:max_requests=300,window_seconds=1,key=host", SLOTS], "cannot be reached with the 2 slots"),
    (["fixed_window:max_requests=300,window_seconds=1", f"{SLOTS},key=host"], ""),
    (["delayed:delay_seconds=1", "fixed_window:max_requests=9,window_seconds=7"], "lets no more than 8 start"),
    (["delayed:delay_seconds=1", "fixed_window:max_requests=8,window_seconds=7"], ""),
    (["delayed:delay_seconds=0", "fixed_window:max_requests=9,window_seconds=7"], ""),
    ([SLOTS, "concurrent_limit:max_concurrent=5"], "strategies[1] (concurrent_limit) has no effect"),
    ([SLOTS, SLOTS], "strategies[1] (concurrent_limit) has no effect"),
    ([SLOTS, "concurrent_limit:max_concurrent=1,key=host"], ""),
    (
        ["fixed_window:max_requests=1,window_seconds=1", "fixed_window:max_requests=12,window_seconds=10"],
        "is always tighter",
    ),
    (["fixed_window:max_requests=1,window_seconds=1", "fixed_window:max_requests=11,window_seconds=10"], ""),
    (["delayed:delay_seconds=1", SLOTS], "runs one task at a time"),
    (["delayed:delay_seconds=1,measure_from=start", SLOTS], ""),
    (["like:Adaptive:min_limit=2", SLOTS], "min_limit 2 is not below the 2 slots"),
    (["like:Adaptive:min_limit=1", SLOTS], ""),
    (["like:Breaker:minimum_calls=9", "fixed_window:max_requests=1,window_seconds=2"], "can never open: in its 10 s"),
    (["like:Breaker:minimum_calls=7", "fixed_window:max_requests=1,window_seconds=2"], ""),
    (["like:Breaker:window=count", "fixed_window:max_requests=1,window_seconds=2"], ""),
    (["like:Breaker:open_seconds=90", "like:Retry"], "open_seconds 90 is more than max_retry_after_seconds 60"),
    (["like:Breaker:open_seconds=90,when_open=wait", "like:Retry"], ""),
    (["like:Bulk:max_batch_size=500"], "a batch of 500 is never full"),
]
LIKE = """
from atm_core import hookimpl
class Base:
    @hookimpl
    def atm_settled(self, task): pass
class Adaptive(Base):
    def __init__(self, min_limit, max_limit=200): pass
class Breaker(Base):
    def __init__(self, minimum_calls=1, window="time", window_size=10, open_seconds=30, when_open="reject"): pass
class Retry(Base):
    def __init__(self, max_retry_after_seconds=60): pass
class Bulk(Base):
    def __init__(self, max_batch_size): pass
"""


@pytest.mark.parametrize("options, warning", CASES)
def test_combinations_that_cannot_work(atm: Any, write: Any, options: List[str], warning: str) -> None:
    """A warning names both strategies and the numbers; with ``--strict`` it is a mistake. None where it works."""
    write("like.py", LIKE)
    write("atm.json", json.dumps({"p": {"max_pending": 400, "strategies": [entry(option) for option in options]}}))
    done = atm("check", "atm.json", "--json")
    remarks = [one["text"] for one in json.loads(done.out)["remarks"]]
    assert done.code == 0 and len(remarks) == bool(warning), remarks
    assert not warning or warning in remarks[0]
    assert atm("check", "atm.json", "--strict").code == bool(warning)


def test_schema(atm: Any, write: Any) -> None:
    """Made from what is installed: names, types, what is required, defaults, descriptions."""
    done = atm("schema")
    schema = json.loads(done.out)
    window = schema["definitions"]["strategy fixed_window"]
    assert done.code == 0 and window["required"] == ["name", "max_requests", "window_seconds"]
    assert window["properties"]["max_requests"]["type"] == "integer" and not window["additionalProperties"]
    assert window["properties"]["align"] == {
        "type": "string",
        "default": "first",
        "description": window["properties"]["align"]["description"],
    }
    assert window["properties"]["key"]["type"] == ["string", "null"]
    assert "concurrent_limit" in schema["definitions"]["strategy"]["anyOf"][0]["enum"]
    profile = schema["definitions"]["profile"]
    assert set(profile["properties"]) == {"strategies", "poll_interval", "max_pending", "name"}


@pytest.mark.parametrize(
    "annotation, types",
    [
        ("int", ["integer"]),
        ("Optional[float]", ["number", "null"]),
        ("Union[str, Callable[[int, Dict[str, int]], float], None]", ["string", "null"]),
        ("str | None", ["string", "null"]),
        ("Mapping[str, Union[int, str]]", ["object"]),
        ("typing.Sequence[str]", ["array"]),
        ("Union[bool, Something]", []),
        ("any", []),
    ],
)
def test_types_in_the_schema(annotation: str, types: List[str]) -> None:
    """An annotation's JSON types; none, which allows all, where one of them is unknown."""
    assert json_types(annotation) == types


def test_schema_leaves_out_what_is_broken(atm: Any, installed: Any) -> None:
    """And says so."""
    installed("atm-needy", "1.0", needy="not_there_at_all:Needy")
    done = atm("schema")
    assert done.code == 0 and "left out: 'needy'" in done.err and "needy" not in done.out


def test_new(atm: Any) -> None:
    """A package from the template."""
    done = atm("new", "atm-something")
    assert (done.code, done.out) == (0, "atm-something\n") and "next: cd atm-something" in done.err
    assert pathlib.Path("atm-something/pyproject.toml").exists()
    assert json.loads(atm("new", "other", "--directory", "deep", "--json").out)["name"] == "atm-other"
