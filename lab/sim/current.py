"""Which simulated host is calling? A context variable: tasks, timers and callbacks inherit it.

That is what lets a third-party library open sockets through the ordinary asyncio API, unmodified, and get
those of the host it runs on.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.sim.host import SimHost

_HOST: contextvars.ContextVar[SimHost] = contextvars.ContextVar("simulated_host")


def current_host() -> SimHost:
    """Return the host on which the running code runs.

    Raises:
        RuntimeError: the code does not run on any simulated host.
    """
    host = _HOST.get(None)
    if host is None:
        raise RuntimeError("this code runs on no simulated host: start it with SimHost.start()")
    return host


def host_of(context: contextvars.Context | None = None) -> SimHost | None:
    """Return the host on which code in ``context`` (None: the running code) runs, if on any."""
    return _HOST.get(None) if context is None else context.get(_HOST)


def enter_host(host: SimHost) -> None:
    """Make ``host`` the current host of the running context, for good."""
    _HOST.set(host)


@contextmanager
def on_host(host: SimHost) -> Iterator[None]:
    """Make ``host`` the current host within the block."""
    token = _HOST.set(host)
    try:
        yield
    finally:
        _HOST.reset(token)
