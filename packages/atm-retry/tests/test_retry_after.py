"""``Retry-After``: both forms of the header, and where the exceptions of HTTP clients carry it."""

from __future__ import annotations

import io
import math
from email.message import Message
from typing import Any, Optional
from urllib.error import HTTPError

import pytest
from atm_retry import parse_retry_after, retry_after_of
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import TaskRejected

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110, 5.6.7


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 400, math.inf),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120.0),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120.0),
        ("Sun Nov  6 08:51:37 1994", 120.0),
        ("Sun, 06 Nov 1994 00:00:00 GMT", 0.0),
        ("Sun, 06 Nov 1994 09:51:37 +0100", 120.0),
        ("Sun, 06 Nov 1994 08:51:60 GMT", 143.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1e3", None),
        ("\u00b2", None),
        ("\u0663", None),
        ("Sun, 99 Nov 1994 08:51:37 GMT", None),
        (None, None),
    ],
)
def test_the_forms_of_the_header(header: Optional[str], seconds: Optional[float]) -> None:
    assert parse_retry_after(header, NOW) == seconds


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.text(alphabet="0123456789 :,-+.GMTJunSday/\t", max_size=40))
def test_no_header_is_too_strange(header: str) -> None:
    """Whatever a server sends: seconds of at least 0, or None, and no exception."""
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or seconds >= 0


def test_a_date_is_compared_with_the_clock_by_default() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    far = parse_retry_after("Fri, 31 Dec 2399 23:59:59 GMT")
    assert far is not None and far > 1e9


class Response:
    def __init__(self, headers: Any) -> None:
        self.headers = headers


class ClientError(Exception):
    """As those of requests and httpx."""

    def __init__(self, headers: Any) -> None:
        self.response = Response(headers)


def test_where_exceptions_carry_it() -> None:
    headers = Message()
    headers["retry-after"] = "7"
    assert retry_after_of(HTTPError("http://x", 503, "busy", headers, io.BytesIO())) == 7.0
    assert retry_after_of(ClientError({"Retry-After": "8"})) == 8.0
    assert retry_after_of(ClientError({"retry-after": "9"})) == 9.0
    assert retry_after_of(TaskRejected("later", retry_after=10)) == 10.0
    silent = [ClientError({}), ClientError(None), ClientError({"Retry-After": 5}), ValueError(), TaskRejected("no")]
    assert [retry_after_of(error) for error in silent] == [None] * 5
