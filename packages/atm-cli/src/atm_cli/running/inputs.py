"""Inputs: the lines of a file, its JSON values, or the rows of a table, read as they are needed."""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import os
import stat
import sys
from typing import IO, Any, Dict, Iterator, List, NamedTuple, Optional

from atm_cli.failure import Failure, describe, io_failure
from atm_core.settings import nearest

__all__ = ["FORMATS", "Inputs", "Record", "metadata_of"]

FORMATS = ("lines", "jsonl", "csv", "tsv")

_CHUNK = 1 << 16
_LONGEST = 1 << 26  # of a line, so that input without line breaks cannot fill the memory
_BY_SUFFIX = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}


class Record(NamedTuple):
    """One input: its number among the inputs, counted from 0, what the function gets, and the same as JSON."""

    number: int
    item: Any
    text: str  # kept, since the function may change the item

    def digest(self) -> bytes:
        """Tells whether a journal speaks of the same input."""
        return hashlib.blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class Inputs:
    """The records of one file or pipe. Iterating reads it once, in bounded memory; blank lines are left out.

    Args:
        path: A file, or ``-`` for stdin.
        format: One of :data:`FORMATS`; None: by the file's suffix, lines if that says nothing.
        column: Of JSON objects and table rows, the field that the function is to get; None: the whole as a dict.
        encoding: Of the text.
        limit: Read no more than so many records.

    Raises:
        Failure: There is no such file, encoding or format; one of them does not fit the others.
    """

    def __init__(
        self,
        path: str,
        format: Optional[str] = None,
        column: Optional[str] = None,
        encoding: str = "utf-8",
        limit: Optional[int] = None,
    ) -> None:
        self.name = "stdin" if path == "-" else path
        self.format = format or _BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "lines")
        self._column = column
        self._encoding = _ascii_superset(encoding)
        self._limit = limit
        if column is not None and self.format == "lines":
            raise Failure(
                f"--column needs inputs with fields, but {self.name} is read as lines: add --format jsonl or csv"
            )
        self._raw = _opened(path)
        self.size = _size(self._raw)
        self.read = 0  # records
        self.bytes = 0
        self.ended = False
        self._line = 0

    def total(self) -> Optional[int]:
        """How many records there are: exact at the end, before that estimated by the file's size, None for a pipe."""
        if self.ended or self.read == self._limit:
            return self.read
        if not self.size or not self.bytes or not self.read:
            return self._limit
        guess = max(self.read, round(self.read * self.size / self.bytes))
        return guess if self._limit is None else min(guess, self._limit)

    def __iter__(self) -> Iterator[Record]:
        items: Iterator[Any] = {
            "lines": self._lines,
            "jsonl": self._json_values,
            "csv": self._rows,
            "tsv": self._rows,
        }[self.format]()
        if self._limit == 0:
            self.ended = True
            return
        for item in items:
            self.read += 1
            yield Record(self.read - 1, item, json.dumps(item, ensure_ascii=False))
            if self.read == self._limit:
                break
        self.ended = True

    def close(self) -> None:
        """Close the file; stdin stays open."""
        self._raw.close()

    def _bytes_lines(self) -> Iterator[bytes]:
        parts: List[bytes] = []
        length = 0
        while True:
            try:
                chunk = self._raw.read(_CHUNK)
            except OSError as error:
                raise io_failure(self.name, error) from error
            if not chunk:
                break
            self.bytes += len(chunk)
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                parts.append(line)
                yield b"".join(parts)
                parts, length = [], 0
            length += len(rest)
            if length > _LONGEST:
                raise Failure(f"{self.name}: line {self._line + 1} is longer than {_LONGEST >> 20} MiB")
            if rest:
                parts.append(rest)
        if parts:
            yield b"".join(parts)

    def _text_lines(self) -> Iterator[str]:
        for line in self._bytes_lines():
            self._line += 1
            if self._line == 1 and line.startswith(codecs.BOM_UTF8):
                line = line[len(codecs.BOM_UTF8) :]
            try:
                yield line.decode(self._encoding)
            except UnicodeDecodeError as error:
                raise Failure(
                    f"{self.name}: line {self._line} is not {self._encoding} (byte 0x{line[error.start]:02x} at "
                    f"position {error.start + 1}): name its encoding with --encoding"
                ) from error

    def _lines(self) -> Iterator[str]:
        for line in self._text_lines():
            if line.strip():
                yield line.rstrip("\r")

    def _json_values(self) -> Iterator[Any]:
        for line in self._text_lines():
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise Failure(f"{self.name}: line {self._line} is not JSON: {describe(error)}") from error
            yield self._field(value)

    def _field(self, value: Any) -> Any:
        if self._column is None:
            return value
        if not isinstance(value, dict) or self._column not in value:
            had = (
                ", ".join(map(str, value)) if isinstance(value, dict) else f"no fields, it is {json.dumps(value)[:60]}"
            )
            raise Failure(f"{self.name}: line {self._line} has no field {self._column!r} (it has {had})")
        return value[self._column]

    def _rows(self) -> Iterator[Any]:
        csv.field_size_limit(_LONGEST)
        reader = csv.reader(
            (line + "\n" for line in self._text_lines()), delimiter="\t" if self.format == "tsv" else ",", strict=True
        )
        header: Optional[List[str]] = None
        picked: Optional[int] = None
        try:
            for row in reader:
                if not row:
                    continue
                if header is None:
                    header = row
                    picked = self._check_header(header)
                elif len(row) != len(header):
                    raise Failure(
                        f"{self.name}: line {self._line} has {len(row)} fields, but the header has {len(header)}"
                    )
                else:
                    yield dict(zip(header, row)) if picked is None else row[picked]
        except csv.Error as error:
            raise Failure(f"{self.name}: line {self._line} is not {self.format.upper()}: {error}") from error
        if header is None and self._column is not None:
            raise Failure(f"{self.name} is empty: it has no column {self._column!r}")

    def _check_header(self, header: List[str]) -> Optional[int]:
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice and self._column is None:
            raise Failure(f"{self.name} has two columns {twice[0]!r}: pick one with --column, or rename it")
        if self._column is None:
            return None
        if self._column not in header:
            near = nearest(self._column, header)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise Failure(f"{self.name} has no column {self._column!r}: {meant}(columns: {', '.join(header)})")
        return header.index(self._column)


def _opened(path: str) -> IO[bytes]:
    if path == "-":
        if sys.stdin is not None and sys.stdin.isatty():
            raise Failure("no inputs: name a file with --input, or pipe them in")
        # Not sys.stdin: a thread that waits in its buffered reader would hold a lock that the interpreter's end needs.
        return open(0, "rb", buffering=0, closefd=False)
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise io_failure(path, error) from error


def _size(raw: IO[bytes]) -> Optional[int]:
    """In bytes; None for a pipe."""
    status = os.fstat(raw.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _ascii_superset(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
        fits = "a\n,".encode(encoding) == b"a\n,"
    except (LookupError, UnicodeError) as error:
        raise Failure(f"--encoding {encoding}: Python knows no such text encoding") from error
    if not fits:
        raise Failure(
            f"--encoding {encoding}: only encodings that contain ASCII can be read; convert the inputs to UTF-8"
        )
    return encoding


def metadata_of(item: Any) -> Dict[str, Any]:
    """What strategies get to know of an input: its fields, and the host of its URL.

    A string is the field ``input``. ``host`` comes from the string itself or from the field ``url``, if that is a URL
    and there is no field of this name.
    """
    if isinstance(item, dict):
        fields = {str(name): value for name, value in item.items()}
        url = fields.get("url")
    else:
        fields = {"input": item}
        url = item
    if "host" not in fields and isinstance(url, str) and "://" in url:
        fields["host"] = _host(url)
    return fields


def _host(url: str) -> str:
    rest = url.partition("://")[2]
    for end in "/?#":
        rest = rest.partition(end)[0]
    return rest.rpartition("@")[2].lower()
