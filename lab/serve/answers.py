"""What a server says: an answer to each request, errors in one form, events.

=============  =============================================================================================
an answer      ``{"id": 7, "ok": true, "result": {...}}``
an error       ``{"id": 7, "ok": false, "error": {"kind", "exit_code", "message", "problems"}}``
an event       ``{"lab": "two_homes", "number": 12, "event": {...}}``, the event as it is stored
=============  =============================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from lab.errors import CallpathError, HostNotReady, ProgramFailed, TrialInvalid, UsageError
from lab.measure.calls import CallRecord, Side
from lab.spec.event import Event, JsonValue

Result = Mapping[str, Any]

_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (UsageError, "usage"),
    (HostNotReady, "host-not-ready"),
    (TrialInvalid, "invalid"),
    (ProgramFailed, "program-failed"),
    (BaseException, "internal"),
)

EXIT_INTERNAL: Final = 70


def answer_line(id_: JsonValue, result: Result) -> bytes:
    """Return the line that answers a request."""
    return _line({"id": id_, "ok": True, "result": result})


def error_line(id_: JsonValue, error: BaseException) -> bytes:
    """Return the line that says what is wrong, in one form for everything."""
    kind = next(kind for type_, kind in _KINDS if isinstance(error, type_))
    problems = [asdict(problem) for problem in error.problems] if isinstance(error, UsageError) else []
    told = {
        "kind": kind,
        "exit_code": error.exit_code if isinstance(error, CallpathError) else EXIT_INTERNAL,
        "message": str(error) if kind != "internal" else f"{type(error).__name__}: {error}",
        "problems": [{key: text for key, text in problem.items() if text} for problem in problems],
    }
    return _line({"id": id_, "ok": False, "error": told})


def event_line(lab: str, number: int, event: Event) -> bytes:
    """Return the line that tells an event."""
    return _line({"lab": lab, "number": number, "event": json.loads(event.to_json(lab))})


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def call_result(record: CallRecord) -> Result:
    """Return a call as an answer tells it; times in seconds, null for what did not happen."""
    return {
        "call": record.call,
        "path": record.path.value,
        "connected": record.connected,
        "setup_time": record.setup_time,
        "media_both_ways": record.media_both_ways,
        "signalling_only": record.signalling_only,
        "sip": _sip(record.caller) if record.caller.is_sip else None,
        "caller": _side(record.caller),
        "callee": None if record.callee is None else _side(record.callee),
    }


def _sip(caller: Side) -> Result:
    return {
        "completed": caller.sip_completed,
        "failed": dict(caller.sip_failed),
        "setup_median": caller.sip_setup_median,
    }


def _side(side: Side) -> Result:
    return {
        "node": side.node,
        "failed": side.failed,
        "local_type": side.local_type,
        "remote_type": side.remote_type,
        "sent": side.sent,
        "received": side.received,
        "mean_delay": sum(side.delays) / len(side.delays) if side.delays else None,
    }
