"""Strategies by name: found without being imported, and told apart; configs with every mistake at once."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from atm_core import (
    AmbiguousStrategyError,
    BrokenStrategyError,
    ConcurrentLimitStrategy,
    ConfigError,
    SettingTypeError,
    TaskManager,
    UnknownStrategyError,
)
from atm_core.config import profiles
from atm_core.discovery import find_strategy, installed_strategies


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes a small real distribution with one module and its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(distribution, module, source, **names):
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in names.items()]
        (info / "entry_points.txt").write_text("\n".join(["[atm.strategies]", *lines]))
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        monkeypatch.delitem(sys.modules, module, raising=False)

    yield make
    for name in list(sys.modules):
        if name.startswith("strange_"):
            del sys.modules[name]


STRANGE = """
    from atm_core import Gate, hookimpl
    class Strange(Gate):
        def __init__(self, level=1):
            super().__init__()
            self.level = level
        @hookimpl
        def atm_ready_at(self, now):
            return now
"""


def test_a_strangers_strategy_is_found_by_name_and_imported_only_then(install):
    install("strange-one", "strange_one", STRANGE, strange="strange_one:Strange")
    found = {one.name: one for one in installed_strategies()}
    assert {"concurrent_limit", "delayed", "fixed_window", "strange"} <= set(found)
    assert (found["strange"].distribution, found["strange"].version) == ("strange-one", "1.0")
    assert "strange_one" not in sys.modules
    manager = TaskManager(["strange", ConcurrentLimitStrategy(1)])
    assert list(manager.strategies) == ["strange", "concurrent_limit"]


def test_an_unknown_name_gets_the_nearest_and_what_is_installed():
    with pytest.raises(UnknownStrategyError, match="did you mean 'concurrent_limit'.*installed: .*delayed") as raised:
        find_strategy("concurent-limit")
    assert raised.value.nearest[0] == "concurrent_limit"
    assert isinstance(raised.value, LookupError)


def test_a_known_name_gets_the_package_to_install(monkeypatch):
    monkeypatch.setattr("atm_core.discovery.installed_strategies", lambda: [])
    with pytest.raises(UnknownStrategyError, match=r"no strategy named 'retry': pip install atm-retry$"):
        find_strategy("retry")


def test_two_distributions_with_one_name_are_an_error_only_when_it_is_used(install):
    install("strange-one", "strange_one", STRANGE, strange="strange_one:Strange")
    install("strange-two", "strange_two", STRANGE, strange="strange_two:Strange")
    assert find_strategy("delayed").__name__ == "DelayedStrategy"
    with pytest.raises(AmbiguousStrategyError, match="'strange-one:strange' or 'strange-two:strange'"):
        find_strategy("strange")
    assert find_strategy("strange-two:strange").__module__ == "strange_two"
    assert list(TaskManager("strange_two:strange").strategies) == ["strange"]


def test_a_broken_strategy_says_whose_it_is_and_hurts_no_other(install):
    install("strange-broken", "strange_broken", "import no_such_module", broken="strange_broken:Strange")
    assert "broken" in [one.name for one in installed_strategies()]
    TaskManager(ConcurrentLimitStrategy(1))
    with pytest.raises(BrokenStrategyError, match="'broken' of distribution strange-broken 1.0.*no_such_module"):
        TaskManager("broken")


@pytest.mark.parametrize("name", ["atm_plugins:ConcurrentLimitStrategy", "atm_plugins.ConcurrentLimitStrategy"])
def test_a_dotted_path_works_wherever_a_name_does(name):
    assert find_strategy(name) is ConcurrentLimitStrategy
    config = {"strategies": [{"name": name, "max_concurrent": 2}]}
    assert list(TaskManager.from_config(config).strategies) == ["concurrent_limit"]


@pytest.mark.parametrize("name", ["atm_plugins:Nothing", "no.such.module", "no_such:Thing"])
def test_a_dotted_path_that_leads_nowhere(name):
    with pytest.raises(UnknownStrategyError, match="no strategy at"):
        find_strategy(name)


def test_a_name_whose_strategy_needs_settings():
    with pytest.raises(SettingTypeError, match="concurrent_limit needs settings.*max_concurrent"):
        TaskManager("concurrent_limit")


PROFILE = {
    "max_pending": 10,
    "strategies": [
        {"name": "fixed_window", "max_requests": 300, "window_seconds": 900},
        {"name": "concurrent_limit", "max_concurrent": 5, "key": "host"},
    ],
}
TOML = """
[twitter]
max_pending = 10
strategies = [
  { name = "fixed_window", max_requests = 300, window_seconds = 900 },
  { name = "concurrent_limit", max_concurrent = 5, key = "host" },
]
[other]
strategies = []
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("atm.toml", TOML),
        ("atm.json", json.dumps({"twitter": PROFILE, "other": {}})),
        ("pyproject.toml", TOML.replace("[twitter]", "[tool.atm.twitter]").replace("[other]", "[tool.atm.other]")),
        (None, None),
    ],
)
def test_a_config_from_a_file_or_a_dict(tmp_path, name, text):
    config = {"twitter": PROFILE, "other": {}}
    if name is not None:
        config = tmp_path / name
        config.write_text(text, encoding="utf-8")
    assert profiles(config) == ["twitter", "other"]
    manager = TaskManager.from_config(config, "twitter")
    assert (manager.name, manager.max_pending) == ("twitter", 10)
    assert list(manager.strategies) == ["fixed_window", "concurrent_limit"]
    assert manager.strategies["fixed_window"].window_seconds == 900.0
    again = TaskManager.from_config(config, "twitter")
    assert again.strategies["fixed_window"] is not manager.strategies["fixed_window"]


def test_all_mistakes_are_told_at_once_with_their_place(tmp_path):
    path = tmp_path / "atm.toml"
    path.write_text(
        textwrap.dedent("""
        [twitter]
        max_pendig = 10
        strategies = [
          { name = "fixed_windw", max_requests = 300 },
          { name = "fixed_window", max_request = 300, window_seconds = 900 },
          { name = "concurrent_limit", max_concurrent = 0, key = 3 },
          { max_concurrent = 3 },
          "delayed",
          7,
        ]
        """),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as raised:
        TaskManager.from_config(path)
    text = str(raised.value)
    assert text.count(f"{path} [twitter]") == len(raised.value.problems) == 9
    for part in (
        "unknown key 'max_pendig': did you mean 'max_pending'?",
        "strategies[0] (fixed_windw): no strategy named 'fixed_windw': did you mean 'fixed_window'?",
        "strategies[1] (fixed_window): unknown key 'max_request': did you mean 'max_requests'?",
        "strategies[1] (fixed_window): max_requests (int) is missing",
        "strategies[2] (concurrent_limit): max_concurrent must be greater than 0, got 0",
        "strategies[3]: name must be a strategy's name, got None",
        "strategies[4] (delayed): delay_seconds (float) is missing",
        "strategies[5]: a strategy is a table with a name, got 7",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("config", "profile", "message"),
    [
        ({"a": PROFILE, "b": PROFILE}, None, r"holds 2 profiles \(a, b\): say which one"),
        ({"twitter": PROFILE}, "twiter", "no profile 'twiter': did you mean 'twitter'?"),
        ({"a": 3}, "a", "a profile is a table, got 3"),
        ({"a": {"strategies": 3}}, "a", "strategies must be a list, got 3"),
        ({"a": {"max_pending": 0}}, "a", "max_pending must be greater than 0, got 0"),
        (3, None, "a config is a file or a dict"),
        ("no/such/file.toml", None, "no/such/file.toml: No such file"),
    ],
)
def test_other_mistakes(config, profile, message):
    with pytest.raises(ConfigError, match=message):
        TaskManager.from_config(config, profile)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"[twitter", "a.toml: "),
        ("a.json", b"{", "a.json: "),
        ("a.toml", b"\xff\xfe", "not UTF-8"),
        ("a.json", b"[1]", "must hold profiles"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        TaskManager.from_config(tmp_path / name)


def test_a_directory_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match=r"(directory|denied)"):
        TaskManager.from_config(tmp_path)


def test_what_is_no_strategy_or_fails_is_told_with_the_other_mistakes_and_its_place(tmp_path, monkeypatch):
    text = "class Other: pass\nclass Fails:\n    def __init__(self): raise RuntimeError('no loop')\n"
    (tmp_path / "of_a_stranger.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["of_a_stranger:Other", "of_a_stranger:Fails"]
    with pytest.raises(ConfigError) as told:
        TaskManager.from_config({"strategies": [*names, {"name": "concurrent_limit", "max_concurrent": 0}]})
    assert told.value.problems == [
        "config strategies[0] (of_a_stranger:Other): Other is no strategy: it implements no hook",
        "config strategies[1] (of_a_stranger:Fails): RuntimeError: no loop",
        "config strategies[2] (concurrent_limit): "
        "max_concurrent must be greater than 0, got 0 (ConcurrentLimitStrategy)",
    ]
