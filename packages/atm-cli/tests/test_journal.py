"""The journal and the output: after a crash at any moment they tell the same."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any, List, Tuple

import pytest
from atm_cli.failure import Failure
from atm_cli.running.inputs import Record
from atm_cli.running.journal import Entry, Journal
from atm_cli.running.output import Output
from atm_cli.running.sink import Sink
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = {"target": "jobs.py:shout"}


def entry(number: int, failed: bool = False) -> Entry:
    line = b'{"index": %d, "result": "%s"}\n' % (number, b"x" * (number % 7))
    return Entry(number, Record(number, number, str(number)).digest(), failed, line)


def opened(folder: Any, ordered: bool) -> Tuple[Journal, Sink]:
    journal = Journal(str(folder / "run.sqlite"), SETTINGS)
    sink = Sink(Output(str(folder / "out.jsonl")), journal, ordered)
    return journal, sink


def expected(finished: List[int], ordered: bool) -> bytes:
    if not ordered:
        return b"".join(entry(number).line for number in finished)
    lines = b""
    for number in range(len(finished)):
        if number not in finished:
            break
        lines += entry(number).line
    return lines


@pytest.mark.parametrize("ordered", [False, True])
def test_a_torn_output_becomes_whole(tmp_path: Any, ordered: bool) -> None:
    """Whatever part of the lines had reached the file: afterwards all of them stand in it, once."""
    numbers = [2, 0, 1, 4]
    _, sink = opened(tmp_path, ordered)
    sink.begin()
    sink.write([entry(number) for number in numbers])
    sink.finish()
    whole = expected(numbers, ordered)
    out = tmp_path / "out.jsonl"
    assert out.read_bytes() == whole
    for length in [*range(0, len(whole), 5), len(whole) - 1, len(whole)]:
        out.write_bytes(whole[:length])
        _journal, sink = opened(tmp_path, ordered)
        sink.begin()
        assert out.read_bytes() == whole, length
        sink.finish()


@given(
    st.permutations(list(range(12))),
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(0, 80)), min_size=1, max_size=8),
    st.booleans(),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_crashes_at_random(order: List[int], steps: List[Tuple[int, bool, int]], ordered: bool) -> None:
    """Batches are written, and the process dies between the commit and the end of the write: nothing is lost."""
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        committed: List[int] = []
        left = list(order)
        for size, dies, torn in steps:
            journal, sink = opened(folder, ordered)
            sink.begin()
            assert (folder / "out.jsonl").read_bytes() == expected(committed, ordered)
            batch, left = left[:size], left[size:]
            if dies:
                journal.add([entry(number) for number in batch])
                committed += batch
                complete = expected(committed, ordered)
                written = (folder / "out.jsonl").read_bytes()
                with open(str(folder / "out.jsonl"), "ab") as file:
                    file.write(complete[len(written) : len(written) + torn])
                journal.close()
                sink._output.abandon()
            else:
                sink.write([entry(number) for number in batch])
                committed += batch
                sink.finish()
        journal, sink = opened(folder, ordered)
        sink.begin()
        sink.write([entry(number) for number in left])
        sink.finish()
        assert (folder / "out.jsonl").read_bytes() == expected(committed + left, ordered)


def test_a_foreign_output_is_left_alone(tmp_path: Any) -> None:
    """A file with lines that are not the journal's is neither overwritten nor continued."""
    journal, sink = opened(tmp_path, False)
    sink.begin()
    sink.write([entry(0)])
    sink.finish()
    out = tmp_path / "out.jsonl"
    for text in (b"mine\n", entry(0).line + b"more\n", entry(0).line[:-1] + b"!"):
        out.write_bytes(text)
        journal, sink = opened(tmp_path, False)
        with pytest.raises(Failure, match="was not written by a run with this journal"):
            sink.begin()
        assert out.read_bytes() == text
        journal.close()
        sink._output.abandon()


def test_forgetting_rewrites_the_output(tmp_path: Any) -> None:
    """Forgotten lines leave the output, also when the process dies in between."""
    journal, sink = opened(tmp_path, False)
    sink.begin()
    sink.write([entry(0), entry(1, failed=True), entry(2)])
    journal.forget(failed_only=True)
    assert (journal.finished, journal.failed, journal.rewrites) == (2, 0, True)
    journal.close()
    sink._output.abandon()
    journal, sink = opened(tmp_path, False)
    sink.begin()
    assert (tmp_path / "out.jsonl").read_bytes() == entry(0).line + entry(2).line
    assert not journal.rewrites
    journal.forget()
    assert journal.finished == 0
    sink.finish()


def test_it_knows_what_is_finished(tmp_path: Any) -> None:
    """By number, and it notices another input."""
    journal, sink = opened(tmp_path, False)
    journal.add([entry(1), entry(5, failed=True)])
    sink.finish()
    journal, sink = opened(tmp_path, False)
    records = [Record(number, number, str(number)) for number in range(8)]
    assert journal.knows(records[:4]) == [False, True, False, False]
    assert journal.knows(records[4:]) == [False, True, False, False]
    assert journal.knows([]) == [] and (journal.finished, journal.failed) == (2, 1)
    with pytest.raises(Failure, match="input number 2 is not the one"):
        journal.knows([Record(1, "other", '"other"')])
    sink.finish()


def test_many_lines_in_pages(tmp_path: Any) -> None:
    """More lines than are read at once."""
    journal, sink = opened(tmp_path, True)
    journal.add([entry(number) for number in reversed(range(5000))])
    assert list(journal.lines(True)) == [entry(number).line for number in range(5000)]
    assert list(journal.lines(True, 4990)) == [entry(number).line for number in range(4990, 5000)]
    assert list(journal.lines(False)) == [entry(number).line for number in reversed(range(5000))]
    sink.finish()


def test_when_it_was_alive(tmp_path: Any) -> None:
    """A crash leaves the last sign of life, an orderly end says that there was one."""
    journal, sink = opened(tmp_path, False)
    assert journal.alive_at == 0.0
    before = time.time()
    journal.alive()
    sink.finish()
    journal, sink = opened(tmp_path, False)
    assert before <= journal.alive_at <= time.time() and not journal.clean
    sink.alive(clean=True)
    sink.finish()
    journal, sink = opened(tmp_path, False)
    assert journal.clean
    sink.finish()


def test_one_run_at_a_time(tmp_path: Any) -> None:
    """A second run on the same journal is refused while the first one lives."""
    _journal, sink = opened(tmp_path, False)
    with pytest.raises(Failure, match=r"run\.sqlite is in use by another run"):
        opened(tmp_path, False)
    sink.finish()
    opened(tmp_path, False)[1].finish()


def _directory(path: Any) -> None:
    path.mkdir()


def _text(path: Any) -> None:
    path.write_text("no database, but long enough to have a header of one, which begins differently" * 3)


def _database(path: Any) -> None:
    db = sqlite3.connect(str(path))
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()


def _other_target(path: Any) -> None:
    Journal(str(path), {"target": "other.py:work"}).close()


@pytest.mark.parametrize(
    "make, message",
    [
        (_directory, "is a directory"),
        (_text, "is no journal of atm run"),
        (_database, "is a database, but no journal of atm run"),
        (_other_target, "with target other.py:work, not jobs.py:shout"),
    ],
)
def test_what_is_no_journal_of_this_run(tmp_path: Any, make: Any, message: str) -> None:
    """It is refused, and stays what it is."""
    path = tmp_path / "run.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(Failure) as caught:
        Journal(str(path), SETTINGS)
    assert message in caught.value.format_message()
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_no_place_for_it(tmp_path: Any) -> None:
    """A journal in a folder that is not there."""
    with pytest.raises(Failure, match="cannot be opened"):
        Journal(str(tmp_path / "nowhere" / "run.sqlite"), SETTINGS)


def test_a_full_disk_leaves_whole_lines(tmp_path: Any, monkeypatch: Any) -> None:
    """What could not be written whole is not written at all, and after there is room everything stands there."""
    journal, sink = opened(tmp_path, False)
    sink.begin()
    sink.write([entry(0)])
    room = [5]
    really = os.write

    def write(fd: int, data: Any) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        size = min(len(data), room[0])
        room[0] -= size
        return really(fd, bytes(data[:size]))

    monkeypatch.setattr("atm_cli.running.output.os.write", write)
    with pytest.raises(Failure, match=r"out\.jsonl: No space left on device"):
        sink.write([entry(1), entry(2)])
    assert (tmp_path / "out.jsonl").read_bytes() == entry(0).line
    room[0] = 10_000
    journal.close()
    sink._output.abandon()
    journal, sink = opened(tmp_path, False)
    sink.begin()
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(entry(number).line for number in range(3))
    sink.finish()


def test_a_full_disk_under_the_journal(tmp_path: Any) -> None:
    """SQLite says that it is full: the batch is not in it, and neither in the output."""
    journal, sink = opened(tmp_path, False)
    sink.begin()
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    big = Entry(0, b"x", False, b"y" * 100_000 + b"\n")
    with pytest.raises(Failure, match=r"the journal failed: database or disk is full"):
        sink.write([big])
    assert (tmp_path / "out.jsonl").read_bytes() == b"" and list(journal.lines(False)) == []
    journal._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    sink.write([entry(1)])
    assert (tmp_path / "out.jsonl").read_bytes() == entry(1).line
    sink.finish()


def test_ordered_without_a_journal_waits_in_memory(tmp_path: Any) -> None:
    """Lines wait for those before them, and at the end the rest is written in order, gaps or not."""
    out = tmp_path / "out.jsonl"
    sink = Sink(Output(str(out)), None, True)
    sink.begin()
    assert sink.write([entry(1), entry(2)]) == 0 and out.read_bytes() == b""
    assert sink.write([entry(0)]) == 3
    assert out.read_bytes() == b"".join(entry(number).line for number in range(3))
    assert sink.write([entry(5), entry(4)]) == 0
    sink.finish()
    assert out.read_bytes() == b"".join(entry(number).line for number in (0, 1, 2, 4, 5))


def test_stdout_gets_everything_again(tmp_path: Any, capfdbinary: Any) -> None:
    """Nobody knows what a reader of the last run has seen: this one sees every line."""
    for number in (0, 1):
        journal = Journal(str(tmp_path / "run.sqlite"), SETTINGS)
        sink = Sink(Output("-"), journal, False)
        sink.begin()
        sink.write([entry(number)])
        sink.finish()
    assert capfdbinary.readouterr().out == entry(0).line * 2 + entry(1).line
