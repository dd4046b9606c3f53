"""``python -m atm_core new atm-something``: start a strategy package of your own."""

from __future__ import annotations

import argparse
import sys
from typing import Optional, Sequence

from atm_core.errors import AtmError
from atm_core.template import create


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns its exit code: 0, 1 if it could not, 2 for a wrong usage (by ``argparse``)."""
    parser = argparse.ArgumentParser("python -m atm_core", description="Async Task Manager.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    new = commands.add_parser("new", help="start a strategy package of your own, which passes the conformance kit")
    new.add_argument("name", help="of the distribution, such as atm-something")
    new.add_argument("--directory", default=".", help="where to put it (default: here)")
    given = parser.parse_args(arguments)
    try:
        root = create(given.name, given.directory)
    except (AtmError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"{root} is ready. Next: cd {root}; pip install -e '.[test]'; pytest")
    return 0


if __name__ == "__main__":
    sys.exit(main())
