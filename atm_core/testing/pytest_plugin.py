"""Virtual time for pytest: a fixture, and how to run the tests of pytest-asyncio in virtual time.

The plugin never loads itself. Ask for it in your top ``conftest.py``::

    pytest_plugins = ["atm_core.testing.pytest_plugin"]

and use its fixture, with no other plugin::

    def test_a_day_takes_a_day(virtual_loop):
        virtual_loop.run_until_complete(asyncio.sleep(24 * 3600))
        assert virtual_loop.time() == 86400.0

pytest-asyncio makes the loops of its tests itself; tell it in ``conftest.py`` to make virtual ones. From its
version 1.4 with a hook::

    import pytest
    from atm_core.testing.virtual_time import VirtualTimeLoop

    @pytest.hookimpl(optionalhook=True)
    def pytest_asyncio_loop_factories(config, item):
        return {"virtual": VirtualTimeLoop}

from 0.23 to 1.3 with a policy::

    import pytest
    from atm_core.testing.virtual_time import VirtualTimePolicy

    @pytest.fixture(scope="session")
    def event_loop_policy():
        return VirtualTimePolicy()

and before (0.21 is the last for Python 3.7) with a loop::

    import pytest
    from atm_core.testing.virtual_time import VirtualTimeLoop

    @pytest.fixture
    def event_loop():
        loop = VirtualTimeLoop()
        yield loop
        loop.close()

Written in the ``conftest.py`` of one directory, each of them holds for that directory's tests only.
"""

from __future__ import annotations

import asyncio
from typing import Iterator

import pytest

from atm_core.testing.virtual_time import VirtualTimeLoop, _finish

__all__ = ["virtual_loop"]


@pytest.fixture
def virtual_loop() -> Iterator[VirtualTimeLoop]:
    """Give a test its own `VirtualTimeLoop`, made the current one; then cancel what is left and close it."""
    loop = VirtualTimeLoop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        if loop.is_closed():
            asyncio.set_event_loop(None)
        else:
            _finish(loop)
