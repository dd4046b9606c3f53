"""What is read, how, and what is refused."""

from __future__ import annotations

import os
from typing import Any, List

import pytest
from atm_cli.failure import Failure
from atm_cli.running.inputs import Inputs, metadata_of


def items(path: Any, data: bytes, **options: Any) -> List[Any]:
    path.write_bytes(data)
    inputs = Inputs(str(path), **options)
    try:
        return [record.item for record in inputs]
    finally:
        inputs.close()


@pytest.mark.parametrize(
    "name, data, options, expected",
    [
        ("a.txt", b"one\ntwo\r\n\n  \nlast", {}, ["one", "two", "last"]),
        ("a.txt", b"\xef\xbb\xbfone\n", {}, ["one"]),
        ("a.txt", "größe\n".encode("latin-1"), {"encoding": "latin-1"}, ["größe"]),
        ("a.txt", b"", {}, []),
        ("a.txt", b" indented \n", {}, [" indented "]),
        ("a.jsonl", b'{"a": 1}\n\n[2]\n"x"\nnull\n', {}, [{"a": 1}, [2], "x", None]),
        ("a.ndjson", b'{"a": 1}\n', {"column": "a"}, [1]),
        ("a.csv", b"a,b\n1,2\n\n3,4\n", {}, [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a.csv", b'a,b\r\n"x, ""y""\nz",2\r\n', {"column": "a"}, ['x, "y"\nz']),
        ("a.tsv", b"a\tb\n1\t2\n", {"column": "b"}, ["2"]),
        ("a.csv", b"a,a,b\n1,2,3\n", {"column": "b"}, ["3"]),
        ("a.dat", b"[1]\n[2]\n", {"format": "jsonl", "limit": 1}, [[1]]),
        ("a.txt", b"1\n2\n", {"limit": 0}, []),
    ],
)
def test_formats(tmp_path: Any, name: str, data: bytes, options: Any, expected: Any) -> None:
    """Lines, JSON values and rows, by the suffix or as told; blank lines and byte-order marks are no input."""
    assert items(tmp_path / name, data, **options) == expected


@pytest.mark.parametrize(
    "name, data, options, message",
    [
        ("a.txt", b"fine\nbad \xff\n", {}, "line 2 is not utf-8 (byte 0xff at position 5)"),
        ("a.jsonl", b"{}\n{\n", {}, "line 2 is not JSON"),
        ("a.jsonl", b'{"url": 1}\n', {"column": "uri"}, "line 1 has no field 'uri' (it has url)"),
        ("a.jsonl", b"[1]\n", {"column": "uri"}, "line 1 has no field 'uri' (it has no fields, it is [1])"),
        ("a.csv", b"url,n\nx,1\n", {"column": "ulr"}, "no column 'ulr': did you mean 'url'? (columns: url, n)"),
        ("a.csv", b"", {"column": "ulr"}, "is empty: it has no column 'ulr'"),
        ("a.csv", b"a,b\n1,2,3\n", {}, "line 2 has 3 fields, but the header has 2"),
        ("a.csv", b"a,a\n1,2\n", {}, "has two columns 'a'"),
        ("a.csv", b'a,b\n"1"x,2\n', {}, "line 2 is not CSV"),
        ("a.txt", b"", {"column": "a"}, "--column needs inputs with fields"),
        ("a.txt", b"", {"encoding": "klingon"}, "--encoding klingon"),
        ("a.txt", b"", {"encoding": "utf-16"}, "only encodings that contain ASCII"),
    ],
)
def test_refusals(tmp_path: Any, name: str, data: bytes, options: Any, message: str) -> None:
    """What cannot be read is told with its file and line."""
    with pytest.raises(Failure) as caught:
        items(tmp_path / name, data, **options)
    assert message in caught.value.format_message()


def test_a_line_without_an_end(tmp_path: Any, monkeypatch: Any) -> None:
    """Input without line breaks cannot fill the memory."""
    monkeypatch.setattr("atm_cli.running.inputs._LONGEST", 1 << 17)
    with pytest.raises(Failure, match="line 2 is longer than"):
        items(tmp_path / "a.txt", b"x\n" + b"y" * (1 << 20))


def test_lines_across_chunks(tmp_path: Any) -> None:
    """A line that is longer than what is read at once is one line."""
    long = "z" * 200_000
    assert items(tmp_path / "a.txt", f"a\n{long}\nb\n".encode()) == ["a", long, "b"]


def test_total(tmp_path: Any) -> None:
    """The number of inputs is guessed by the file's size, and known at its end."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456\n" * 50_000)
    inputs = Inputs(str(path))
    assert inputs.total() is None
    records = iter(inputs)
    for _ in range(1000):
        next(records)
    guess = inputs.total()
    assert guess is not None and guess >= 5_000
    assert len(list(records)) == 49_000 and inputs.ended and inputs.total() == 50_000
    inputs.close()


def test_a_pipe_gives_lines_as_they_come(tmp_path: Any) -> None:
    """An input is there as soon as its line is, though the pipe stays open."""
    fifo = tmp_path / "pipe"
    os.mkfifo(str(fifo))
    writer = os.open(str(fifo), os.O_RDWR)
    inputs = Inputs(str(fifo))
    os.write(writer, b"one\ntw")
    records = iter(inputs)
    assert next(records).item == "one"
    os.write(writer, b"o\n")
    assert next(records).item == "two" and inputs.total() is None
    os.close(writer)
    inputs.close()


def test_digests_tell_inputs_apart(tmp_path: Any) -> None:
    """The same input has the same digest, another one another, also if the function changes what it got."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 1}\n"\\ud800"\n')
    inputs = Inputs(str(path))
    first, second, third, odd = list(inputs)
    first.item["a"] = 7
    assert first.digest() == third.digest() != second.digest()
    assert len(odd.digest()) == 8
    inputs.close()


@pytest.mark.parametrize(
    "item, expected",
    [
        ("http://user@Example.com:80/a?b", {"input": "http://user@Example.com:80/a?b", "host": "example.com:80"}),
        ("no url", {"input": "no url"}),
        (5, {"input": 5}),
        ({"url": "https://a.example?x", "n": 1}, {"url": "https://a.example?x", "n": 1, "host": "a.example"}),
        ({"url": "https://a.example", "host": "mine"}, {"url": "https://a.example", "host": "mine"}),
        ({"n": 1}, {"n": 1}),
    ],
)
def test_metadata(item: Any, expected: Any) -> None:
    """Strategies see an input's fields, and the host of its URL."""
    assert metadata_of(item) == expected
