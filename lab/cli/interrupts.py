"""Ctrl-C between two steps, never within one: what is written and what is counted stay the same."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Raises ``KeyboardInterrupt`` at once, but within a step that is to be whole: then when it is done."""

    def __init__(self) -> None:
        self._within_step = False
        self._pending = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take over Ctrl-C for the block."""
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def after_this_step(self) -> Iterator[None]:
        """Put an interrupt off until the end of the block."""
        self._within_step = True
        try:
            yield
        finally:
            self._within_step = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if not self._within_step:
            raise KeyboardInterrupt
        self._pending = True
