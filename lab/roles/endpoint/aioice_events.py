"""What aioice does inside, as events: its log calls carry the objects, so nothing in it needs to change.

aioice tells every state change of a candidate pair to its module's logger, with the connection, the pair and
the states as arguments. A tap in the logger's place turns those into callbacks and hands everything on. A
handler on the logger would see the same, for ten times the price: a record with time, thread and caller is
made of each of forty calls a session.

Its TURN client logs what it asks and what is answered: another tap takes the time between the two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, ref

import aioice
import aioice.ice
import aioice.turn
from aioice.candidate import Candidate

from lab.errors import HostNotReady

_STATE_CHANGE: Final = "%s Check %s %s -> %s"
_NOMINATING: Final = "%s Check %s nominating pair"
_CONSENT_EXPIRED: Final = "%s Consent to send expired"
_ASKED: Final = "%s > %s %s"
_ANSWERED: Final = "%s < %s %s"
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

    def consent_expired(self) -> None:
        """Note that the peer has not answered for as long as RFC 7675 §5.1 allows."""


def _nobody() -> None:
    """Stand for the observer of a connection that has none."""


class _Tap:
    """Stands where aioice's logger stood, and hands everything on to it."""

    def __init__(self, logger: logging.Logger) -> None:
        # Weak on both sides: an observer refers to its connection, and with it to the whole network.
        self.observers: WeakKeyDictionary[aioice.Connection, ref[CheckObserver]] = WeakKeyDictionary()
        self.debug = logger.debug  # called for every packet: found at once, without __getattr__
        self._logger = logger
        self._readers: dict[str, Callable[[CheckObserver, tuple[Any, ...]], None]] = {
            _STATE_CHANGE: lambda observer, args: observer.check_changed(args[1], args[2].name, args[3].name),
            _NOMINATING: lambda observer, args: observer.nominating(args[1]),
            _UNRESOLVED: lambda observer, args: observer.unresolved(args[1]),
            _CONSENT_EXPIRED: lambda observer, _: observer.consent_expired(),
        }

    def info(self, message: str, *args: Any) -> None:
        reader = self._readers.get(message)
        if reader is not None and (observer := self.observers.get(args[0], _nobody)()) is not None:
            reader(observer, args)
        self._logger.info(message, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


def observe_checks(connection: aioice.Connection, observer: CheckObserver) -> None:
    """Tell ``observer`` of every check of ``connection`` from now on, as long as somebody else holds it.

    Raises:
        HostNotReady: the installed aioice has no logger where one is expected.
    """
    _tap().observers[connection] = ref(observer)


def _tap() -> _Tap:
    logger = getattr(aioice.ice, "logger", None)
    if isinstance(logger, _Tap):
        return logger
    if not isinstance(logger, logging.Logger):
        raise HostNotReady("aioice.ice has no logger: install the aioice release that pyproject pins")
    tap = _Tap(logger)
    aioice.ice.logger = tap  # type: ignore[assignment]  # it answers everything that a logger does
    return tap


class RoundTrip:
    """How far away a server is: from a request to its answer, the first time that this can be told.

    ``seconds`` is None until then. A request that was repeated tells nothing: either copy may be the answered
    one (RFC 8489 §6.2.1).
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: float | None = None
        self._now = now
        self._asked: dict[bytes, float | None] = {}

    def asked(self, transaction: bytes) -> None:
        """Note that a request goes out."""
        if self.seconds is None:
            self._asked[transaction] = None if transaction in self._asked else self._now()

    def answered(self, transaction: bytes) -> None:
        """Note that an answer has come."""
        asked = self._asked.pop(transaction, None)
        if asked is not None and self.seconds is None:
            self.seconds = self._now() - asked
            self._asked.clear()


_turn_round_trip: ContextVar[RoundTrip | None] = ContextVar("turn_round_trip", default=None)


class _TurnTap:
    """Stands where the logger of aioice's TURN client stood, and hands everything on to it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, *args: Any) -> None:
        round_trip = _turn_round_trip.get()
        if round_trip is not None and message == _ASKED:
            round_trip.asked(args[2].transaction_id)
        elif round_trip is not None and message == _ANSWERED:
            round_trip.answered(args[2].transaction_id)
        self._logger.debug(message, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


@contextmanager
def timing_turn(round_trip: RoundTrip) -> Iterator[None]:
    """Time the TURN clients that are made within the block.

    Raises:
        HostNotReady: the TURN client of the installed aioice has no logger where one is expected.
    """
    logger = getattr(aioice.turn, "logger", None)
    if not isinstance(logger, _TurnTap):
        if not isinstance(logger, logging.Logger):
            raise HostNotReady("aioice.turn has no logger: install the aioice release that pyproject pins")
        aioice.turn.logger = _TurnTap(logger)  # type: ignore[assignment]  # as above
    token = _turn_round_trip.set(round_trip)
    try:
        yield
    finally:
        _turn_round_trip.reset(token)
