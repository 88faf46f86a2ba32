"""When Python looks for cyclic garbage while trials run: rarely."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_RARELY: Final = (250_000, 10, 10)
"""At most so many new containers, some 50 MB, pile up before the youngest are looked at."""


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Collect rarely within the block: nearly all objects of a trial live on, and looking at them costs.

    Blocks may be nested. Around many trials, too: what one leaves behind is looked at with that of thirty.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def collect_garbage_rarely() -> None:
    """Collect rarely from now on, in a process that does nothing but run trials."""
    gc.set_threshold(*_RARELY)
