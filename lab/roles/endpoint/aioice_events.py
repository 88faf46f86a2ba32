"""What aioice does inside, as events: its log records carry the objects, so nothing in it needs to change.

aioice logs every state change of a candidate pair at INFO through the standard ``logging`` module, with the
connection, the pair and the states as arguments. A handler turns those into callbacks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import aioice
from aioice.candidate import Candidate

_STATE_CHANGE: Final = "%s Check %s %s -> %s"
_NOMINATING: Final = "%s Check %s nominating pair"
_UNRESOLVED: Final = '%s Remote candidate "%s" could not be resolved'


class CandidatePair(Protocol):
    """The part of aioice's candidate pair that is read here."""

    local_candidate: Candidate
    remote_candidate: Candidate
    nominated: bool


class CheckObserver(Protocol):
    """Who hears of one connection's checks."""

    def check_changed(self, pair: CandidatePair, before: str, after: str) -> None:
        """Note that a pair went from one state to another (RFC 8445 §6.1.2.6)."""

    def nominating(self, pair: CandidatePair) -> None:
        """Note that the controlling side asks for this pair (RFC 8445 §8.1.1)."""

    def unresolved(self, name: str) -> None:
        """Note that the peer's candidate with this .local name is left out: nobody answers for it."""


class _Tap(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.observers: WeakKeyDictionary[aioice.Connection, CheckObserver] = WeakKeyDictionary()
        self._readers: dict[str, Callable[[CheckObserver, tuple[Any, ...]], None]] = {
            _STATE_CHANGE: lambda observer, args: observer.check_changed(args[1], args[2].name, args[3].name),
            _NOMINATING: lambda observer, args: observer.nominating(args[1]),
            _UNRESOLVED: lambda observer, args: observer.unresolved(args[1]),
        }

    def emit(self, record: logging.LogRecord) -> None:
        reader = self._readers.get(record.msg)
        if reader is None or not isinstance(record.args, tuple):
            return
        connection = record.args[0]
        observer = self.observers.get(connection) if isinstance(connection, aioice.Connection) else None
        if observer is not None:
            reader(observer, record.args)


_TAP: Final = _Tap()


def observe_checks(connection: aioice.Connection, observer: CheckObserver) -> None:
    """Tell ``observer`` of every check of ``connection`` from now on."""
    logger = logging.getLogger("aioice.ice")
    if _TAP not in logger.handlers:
        logger.addHandler(_TAP)
        logger.setLevel(logging.INFO)
    _TAP.observers[connection] = observer
