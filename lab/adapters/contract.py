"""The contract between a program and the lab, from the program's side: JSON lines in and out.

.. code-block:: python

    lab = Contract()
    lab.ready()
    for message in lab.messages():
        if message.get("command") == "dial":
            lab.signal("offer", to=message["to"], call=message["call"], sdp="...")

It needs the standard library alone. For a program with an event loop, :meth:`Contract.messages` can run in a
thread; the other methods may be called from any.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any


class Contract:
    """One program's end. ``setup`` is what the lab said first."""

    def __init__(self, reader: IO[str] | None = None, writer: IO[str] | None = None) -> None:
        self._reader = reader or sys.stdin
        self._writer = writer or sys.stdout
        self._lock = threading.Lock()
        self.setup: dict[str, Any] = json.loads(self._reader.readline())["setup"]

    @property
    def node(self) -> str:
        """The name by which others call this program."""
        return str(self.setup["node"])

    @property
    def options(self) -> Mapping[str, Any]:
        """What the scenario says to this program."""
        options: Mapping[str, Any] = self.setup["options"]
        return options

    def now(self) -> float:
        """Return the trial's time, in seconds."""
        return time.monotonic() - float(self.setup["origin"])

    def servers(self, policy: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the STUN and TURN servers that a call may use by its policy."""
        transports = policy["turn_transports"] if policy["candidates"] != "no-relay" else ()
        return [s for s in self.setup["servers"] if s["kind"] == "stun" or s["transport"] in transports]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield commands and signals, each as its JSON object, until the lab hangs up."""
        for line in self._reader:
            yield json.loads(line)

    def ready(self) -> None:
        """Say that commands can come."""
        self.say({"ready": True})

    def signal(self, kind: str, *, to: str, call: str, sdp: str = "") -> None:
        """Send something to another end, through the rendezvous."""
        self.say({"signal": {"kind": kind, "to": to, "call": call, "sdp": sdp}})

    def report(
        self, kind: str, call: str = "", *, at: float | None = None, count: int = 1, **data: Any
    ) -> None:
        """Say that something has happened, now or at a time of the trial, and how often."""
        self.say({"type": kind, "call": call, "time": at, "count": count, "data": data})

    def log(self, text: str) -> None:
        """Write a line into the run's logs."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def say(self, record: Mapping[str, Any]) -> None:
        """Say one line of the contract."""
        with self._lock:
            self._writer.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._writer.flush()
