"""What aioice does inside, as events: its log calls carry the objects, so nothing in it needs to change.

aioice tells every state change of a candidate pair to its module's logger, with the connection, the pair and
the states as arguments. A tap in the logger's place turns those into callbacks and hands everything on. A
handler on the logger would see the same, for ten times the price: a record with time, thread and caller is
made of each of forty calls a session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import aioice
import aioice.ice
from aioice.candidate import Candidate

from lab.errors import HostNotReady

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


class _Tap:
    """Stands where aioice's logger stood, and hands everything on to it."""

    def __init__(self, logger: logging.Logger) -> None:
        self.observers: WeakKeyDictionary[aioice.Connection, CheckObserver] = WeakKeyDictionary()
        self.debug = logger.debug  # called for every packet: found at once, without __getattr__
        self._logger = logger
        self._readers: dict[str, Callable[[CheckObserver, tuple[Any, ...]], None]] = {
            _STATE_CHANGE: lambda observer, args: observer.check_changed(args[1], args[2].name, args[3].name),
            _NOMINATING: lambda observer, args: observer.nominating(args[1]),
            _UNRESOLVED: lambda observer, args: observer.unresolved(args[1]),
        }

    def info(self, message: str, *args: Any) -> None:
        reader = self._readers.get(message)
        if reader is not None and (observer := self.observers.get(args[0])) is not None:
            reader(observer, args)
        self._logger.info(message, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


def observe_checks(connection: aioice.Connection, observer: CheckObserver) -> None:
    """Tell ``observer`` of every check of ``connection`` from now on.

    Raises:
        HostNotReady: the installed aioice has no logger where one is expected.
    """
    _tap().observers[connection] = observer


def _tap() -> _Tap:
    logger = getattr(aioice.ice, "logger", None)
    if isinstance(logger, _Tap):
        return logger
    if not isinstance(logger, logging.Logger):
        raise HostNotReady("aioice.ice has no logger: install the aioice release that pyproject pins")
    tap = _Tap(logger)
    aioice.ice.logger = tap  # type: ignore[assignment]  # it answers everything that a logger does
    return tap
