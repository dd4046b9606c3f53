"""Results of any kind become one line of JSON."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import pathlib
from typing import Any

import pytest
from atm_cli.running.jsonable import encoded, json_text
from hypothesis import given, settings
from hypothesis import strategies as st


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Page:
    url: str
    links: Any


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value, expected",
    [
        ({"a": (1, 2.5, None)}, {"a": [1, 2.5, None]}),
        (float("nan"), None),
        ([float("inf"), 1.0], [None, 1.0]),
        (b"bytes \xff", "bytes \\xff"),
        ({"b", "a"}, ["a", "b"]),
        (Page("u", {1}), {"url": "u", "links": [1]}),
        (Colour.RED, "red"),
        (datetime.datetime(2024, 1, 2, 3), "2024-01-02T03:00:00"),
        (pathlib.PurePosixPath("/a"), "/a"),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        (ValueError("x"), "x"),
        (Rude(), "<Rude, which cannot be shown: RuntimeError>"),
    ],
)
def test_what_json_does_not_know(value: Any, expected: Any) -> None:
    """It becomes what comes nearest."""
    assert json.loads(json_text(value)) == expected


def test_circles_end() -> None:
    """A list that holds itself does not hang anything."""
    circle: Any = []
    circle.append(circle)
    assert json.loads(json_text(circle))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_what_json_knows_comes_back(value: Any) -> None:
    """In one line."""
    line = encoded(json_text(value))
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line.decode("utf-8")) == value


def test_half_a_surrogate_pair() -> None:
    """UTF-8 cannot hold it, JSON's escapes can."""
    assert json.loads(encoded(json_text("\ud800")).decode()) == "\ud800"
