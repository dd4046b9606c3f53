"""Results on their way out: into the journal first, then into the output."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence

from atm_cli.running.journal import Entry, Journal
from atm_cli.running.output import Output

__all__ = ["Sink"]


class Sink:
    """Takes finished inputs in the order of their completion. Every call may block.

    Args:
        output: Where the lines go.
        journal: What makes them durable before; None: nothing does.
        ordered: Write them in the order of the inputs. Without a journal, lines wait in memory for those before them.
    """

    def __init__(self, output: Output, journal: Optional[Journal], ordered: bool) -> None:
        self._output = output
        self._journal = journal
        self._ordered = ordered
        self._early: Dict[int, bytes] = {}
        self._next = 0  # the number of the next line, if ordered

    def begin(self) -> None:
        """Bring the output into the state that the journal remembers.

        Raises:
            Failure: The output is not of this journal, or cannot be written.
        """
        if self._journal is None:
            self._output.begin()
            return
        rewrites = self._journal.rewrites
        self._output.reconcile(self._remembered(self._journal), rewrites)
        if rewrites:
            self._journal.rewritten()

    def write(self, entries: Sequence[Entry]) -> int:
        """Make results durable, and write what may be written.

        Returns:
            How many more inputs need no memory any more: less than those given while lines wait for their turn.

        Raises:
            Failure: The disk is full, the reader has gone, ...
        """
        if self._journal is not None:
            self._journal.add(entries)
        before = len(self._early)
        self._output.write(b"".join(self._due(entries)))
        return len(entries) + before - len(self._early)

    def alive(self, clean: bool = False) -> None:
        """Tell the journal that tasks may be starting, or will not any more."""
        if self._journal is not None:
            self._journal.alive(clean)

    def finish(self) -> None:
        """The run has ended: write what still waits for inputs that will not come, and close everything."""
        try:
            self._output.write(b"".join(self._early[index] for index in sorted(self._early)))
            self._output.close()
        finally:
            self._output.abandon()
            if self._journal is not None:
                self._journal.close()

    def _remembered(self, journal: Journal) -> Iterator[bytes]:
        for line in journal.lines(self._ordered):
            self._next += 1
            yield line

    def _due(self, entries: Sequence[Entry]) -> List[bytes]:
        if not self._ordered:
            return [entry.line for entry in entries]
        due: List[bytes] = []
        if self._journal is not None:
            due.extend(self._journal.lines(True, self._next))
        else:
            self._early.update((entry.number, entry.line) for entry in entries)
            while self._next + len(due) in self._early:
                due.append(self._early.pop(self._next + len(due)))
        self._next += len(due)
        return due
