"""``python -m atm_cli``: the ``atm`` command."""

from __future__ import annotations

import sys

from atm_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
