"""``--strategy`` on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from atm_cli.failure import Failure
from atm_cli.strategy_option import parse_strategy


@pytest.mark.parametrize(
    "text, expected",
    [
        ("concurrent_limit", {"name": "concurrent_limit"}),
        (
            "concurrent_limit:max_concurrent=20,key=host",
            {"name": "concurrent_limit", "max_concurrent": 20, "key": "host"},
        ),
        ("atm-retry:retry:max_attempts=5", {"name": "atm-retry:retry", "max_attempts": 5}),
        ("my_app.rules:PerHost", {"name": "my_app.rules:PerHost"}),
        ("my_app.rules:PerHost:limit=3", {"name": "my_app.rules:PerHost", "limit": 3}),
        ("retry:retry_on=jobs:Busy,jitter=0.5", {"name": "retry", "retry_on": "jobs:Busy", "jitter": 0.5}),
        ('retry:retry_on=["OSError", "jobs:Busy"]', {"name": "retry", "retry_on": ["OSError", "jobs:Busy"]}),
        ("time_based:cron=0 9,17 * * *", {"name": "time_based", "cron": "0 9,17 * * *"}),
        ("x:a={b = 1, c = 2},d=true", {"name": "x", "a": {"b": 1, "c": 2}, "d": True}),
        ('x:a="1,b=2",c=1', {"name": "x", "a": "1,b=2", "c": 1}),
        ("x:a='quoted'", {"name": "x", "a": "quoted"}),
        ("x:a=", {"name": "x", "a": ""}),
        ("x: a = 1 , b = two words ", {"name": "x", "a": 1, "b": "two words"}),
        ("x:a=1.5e3,b=-2,c=inf", {"name": "x", "a": 1500.0, "b": -2, "c": float("inf")}),
        ("x:", {"name": "x"}),
    ],
)
def test_forms(text: str, expected: Any) -> None:
    """Values are TOML, anything else is a string; commas and colons inside of values and names stay."""
    assert parse_strategy(text) == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("x:a=1,a=2", "a is given twice"),
        ("x:a=[1,", "a is no TOML value"),
        ("concurrent_limit:20", "name the parameter, as in concurrent_limit:PARAMETER=20"),
        ("=5", "write NAME:PARAMETER=VALUE"),
        ("", "write NAME:PARAMETER=VALUE"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """What cannot be meant is told with its text."""
    with pytest.raises(Failure) as caught:
        parse_strategy(text)
    assert message in caught.value.format_message() and repr(text) in caught.value.format_message()
