"""One baresip as an endpoint of the lab: commands in, reports out. Its process and its sockets are elsewhere.

baresip holds one call at a time here. A SIP call has no name of the lab's: who is called takes the first call
of that caller for which it was told to prepare.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lab.adapters.baresip import log
from lab.adapters.baresip.control import Answer, Happening

REMINDER_SECONDS: Final = 1.0
"""Between two lines of the log that say that the registrar has not answered."""
NAMELESS_SECONDS: Final = 2.0
"""In which the lab may say that a call which has come is one of its own."""
LAST_FIGURES_SECONDS: Final = 0.5
"""After the end of a call, in which the log tells how much media went."""
_BY_USER: Final = ("Connection reset by user", "Connection reset by peer")
"""What baresip says of a call that somebody hung up."""


class Lab(Protocol):
    """What a phone needs of the contract (:class:`lab.adapters.contract.Contract`)."""

    @property
    def node(self) -> str:
        """Its name."""

    def now(self) -> float:
        """Return the time of the trial, in seconds."""

    def ready(self) -> None:
        """Say that commands can come."""

    def report(self, kind: str, call: str = "", *, at: float | None = None, **data: Any) -> None:
        """Say that something has happened."""

    def log(self, text: str) -> None:
        """Write a line into the run's logs."""


class RegistrationError(Exception):
    """The phone is not registered and so cannot be called: its first registration was refused."""


@dataclass
class _Call:
    """One call. One that comes in has no name until baresip has said who calls; what is told before waits."""

    name: str
    outgoing: bool
    began: float
    waiting: list[tuple[float, log.Fact]] = field(default_factory=list)
    caller: str = ""
    id: str = ""
    is_answered: bool = False
    gathered: float | None = None
    remote: tuple[log.Candidate, ...] = ()
    pair: tuple[log.Candidate, log.Candidate] | None = None
    is_failed: bool = False
    rows: dict[str, log.Table] = field(default_factory=dict)
    closed: str = ""
    closed_at: float = 0.0


class Phone:
    """The state of one baresip.

    Args:
        lab: hears what happens.
        control: gives baresip a command: its name, its parameters, a token that comes back with the answer.
        proxy: host of the SIP proxy as a URI has it.
        media_nat: how media passes NATs, one of :data:`lab.adapters.baresip.files.MEDIA_NATS`.
        hosts: the addresses that hosts of the network have themselves; any other is a NAT's.
    """

    def __init__(
        self,
        lab: Lab,
        control: Callable[[str, str, str], None],
        proxy: str,
        *,
        media_nat: str = "ice",
        hosts: Collection[str] = (),
    ) -> None:
        self._lab, self._control, self._proxy = lab, control, proxy
        self._media_nat, self._hosts = media_nat, hosts
        self._prepared: list[tuple[str, str]] = []
        self._call: _Call | None = None
        self._reader = log.LogReader()
        self._asked_at = self._reminded_at = lab.now()
        self._is_ready = self._is_registered = False

    def wait(self) -> float | None:
        """Return for how many seconds nothing has to be done unless something comes; None: for ever."""
        if not self._is_ready:
            return REMINDER_SECONDS
        if self._call is not None and not self._call.name:
            return max(0.0, self._call.began + NAMELESS_SECONDS - self._lab.now())
        if self._call is None or not self._call.closed:
            return None
        return max(0.0, self._call.closed_at + LAST_FIGURES_SECONDS - self._lab.now())

    def time_passed(self) -> None:
        """Do what is due."""
        if not self._is_ready and self._since(self._reminded_at) >= REMINDER_SECONDS:
            self._reminded_at = self._lab.now()
            waited = self._since(self._asked_at)
            self._lab.log(f"no answer to REGISTER from {self._proxy} for {waited:.0f} s")
        call = self._call
        if call is not None and not call.name and self.wait() == 0.0:
            self._name(call, anyway=True)
        if call is not None and call.closed and (self.wait() == 0.0 or _has_all_figures(call)):
            self._end(call)

    # From the lab

    def told(self, message: Mapping[str, Any]) -> None:
        """Take a command of the lab's."""
        name = str(message.get("call", ""))
        match message.get("command"):
            case "answer":
                self._prepared.append((str(message.get("caller", "")), name))
                if self._call is not None and self._call.caller:
                    self._name(self._call)
            case "dial":
                self._dial(name, str(message["to"]), str(message["policy"]["candidates"]))
            case "hang-up" if self._call is not None and self._call.name == name and not self._call.closed:
                self._control("hangup", "", name)
            case "send-media":
                self._lab.log("baresip sends all the time: nothing more to send")

    def _dial(self, name: str, to: str, candidates: str) -> None:
        refused = ""
        self._forget_closed()
        if self._call is not None:
            refused = f"baresip is in another call, {self._call.name}"
        elif candidates != "all":
            refused = f"baresip cannot be told {candidates!r} call by call; its option media_nat is for all"
        if refused:
            self._lab.report("call.ended", name, reason=refused)
            return
        self._call = _Call(name, outgoing=True, began=self._lab.now())
        self._control("dial", f"sip:{to}@{self._proxy}", name)

    # From baresip

    def answered(self, answer: Answer) -> None:
        """Take what became of a command: one that cannot be carried out ends its call."""
        call = self._call
        if not answer.done and call is not None and answer.tag == call.name:
            self._closed(call, answer.text.strip() or "refused by baresip")

    def happened(self, event: Happening) -> None:
        """Take an event of baresip's.

        Raises:
            RegistrationError: the first registration was refused.
        """
        if event.type.startswith("REGISTER_"):
            self._registered(event)
            return
        if event.type == "CALL_REMOTE_SDP" and event.direction == "incoming":
            self._called(event)
        call = self._call
        if call is None or not event.type.startswith("CALL_"):
            return
        call.id = call.id or event.id
        if event.id != call.id:
            return
        if event.type == "CALL_ESTABLISHED" and not call.is_answered:
            call.is_answered = True
            if call.outgoing:
                self._lab.report("sip.answered", call.name, seconds=self._since(call.began))
        elif event.type == "CALL_CLOSED":
            self._closed(call, event.text)

    def _registered(self, event: Happening) -> None:
        if event.type == "REGISTER_OK":
            if not self._is_registered:
                self._lab.report("sip.registered", registrar=self._proxy, seconds=self._since(self._asked_at))
            self._is_registered = True
            if not self._is_ready:
                self._is_ready = True
                self._lab.ready()
        elif not self._is_ready:
            raise RegistrationError(f"{self._lab.node} is not registered at {self._proxy}: {event.text}")
        elif self._is_registered:
            self._is_registered, self._asked_at = False, self._lab.now()
            self._lab.report("program.reported", what="not registered any more", reason=event.text)

    def _called(self, event: Happening) -> None:
        """Note who calls, by whom the call that has come in is known to the lab."""
        self._invited()
        call = self._call
        assert call is not None, "there is one now, if there was none before"
        if not call.name and not call.caller:
            call.caller, call.id = event.peer_user, event.id
            self._name(call)

    def _name(self, call: _Call, *, anyway: bool = False) -> None:
        """Give a call the name for which the lab has said to prepare; it may say so a moment after INVITE."""
        number = next((n for n, (who, _) in enumerate(self._prepared) if who in {"", call.caller}), None)
        if call.name or (number is None and not anyway):
            return
        call.name = f"{call.caller}-{call.id}" if number is None else self._prepared.pop(number)[1]
        self._lab.report("call.started", call.name, at=call.began, caller=call.caller, callee=self._lab.node)
        for at, fact in call.waiting:
            self._take(call, at, fact)

    def _invited(self) -> None:
        self._forget_closed()
        if self._call is None:
            self._call = _Call("", outgoing=False, began=self._lab.now())

    def _forget_closed(self) -> None:
        """Wait no longer for the figures of the call before."""
        if self._call is not None and self._call.closed:
            self._end(self._call)

    def line(self, text: str) -> None:
        """Take a line of baresip's log."""
        fact = self._reader.line(text)
        if isinstance(fact, log.Invited):
            self._invited()
        elif fact is not None and self._call is not None:
            if self._call.name:
                self._take(self._call, self._lab.now(), fact)
            else:
                self._call.waiting.append((self._lab.now(), fact))

    def _take(self, call: _Call, at: float, fact: log.Fact) -> None:
        match fact:
            case log.Gathered():
                call.gathered = call.gathered or at
            case log.Checking() if call.pair is None:
                self._lab.report(
                    "ice.checking", call.name, at=at, pairs=fact.pairs, controlling=call.outgoing
                )
            case log.Concluded() if call.pair is None:
                self._concluded(call, at, fact)
            case log.ChecksFailed() if call.pair is None:
                self._failed(call, fact.reason)
            case log.Connected() if call.pair is not None:
                self._lab.report("ice.connected", call.name, at=at)
            case log.Heard() if call.pair is None and self._media_nat != "ice":
                self._heard(call, at, fact.address)
            case log.Sending():
                self._sending(call, at, fact.address)
            case log.Table():
                call.rows[fact.row] = fact

    def _concluded(self, call: _Call, at: float, fact: log.Concluded) -> None:
        """Report what ICE came to. Candidates are told when they are known: at the end, with their time."""
        gathered = at if call.gathered is None else call.gathered
        for own in fact.candidates:
            self._lab.report("ice.candidate", call.name, at=gathered, side="local", **_described(own))
        types, count = sorted({own.type for own in fact.candidates}), len(fact.candidates)
        seconds = round(gathered - call.began, 6)
        self._lab.report(
            "ice.gathered", call.name, at=gathered, types=types, candidates=count, seconds=seconds
        )
        pairs = sorted({(local.type, remote.type) for local, remote in fact.valid})
        self._lab.report("ice.validated", call.name, at=at, pairs=[list(pair) for pair in pairs])
        if fact.selected is not None:
            call.remote = fact.remote
            self._selected(call, at, *fact.selected)
        else:
            self._failed(call, "no pair of candidates worked")

    def _selected(self, call: _Call, at: float, local: log.Candidate, remote: log.Candidate) -> None:
        call.pair = local, remote
        self._lab.report("ice.selected", call.name, at=at, local=_described(local), remote=_described(remote))

    def _heard(self, call: _Call, at: float, address: str) -> None:
        """Take a call without ICE as connected when media comes: nothing else is told of its path."""
        own = "relay" if self._media_nat == "turn" else "host"
        host = address.rpartition(":")[0].strip("[]")
        theirs = "host" if host in self._hosts else "srflx"
        self._selected(call, at, log.Candidate(own, self._lab.node), log.Candidate(theirs, address))
        self._lab.report("ice.connected", call.name, at=at)

    def _sending(self, call: _Call, at: float, address: str) -> None:
        """Notice media that goes elsewhere than ICE has selected.

        A caller that ends its checks first sends an offer (RFC 8839 §4.4), and the answer of a callee that
        is still checking names its relayed address: baresip then sends there.
        """
        there = next((candidate for candidate in call.remote if candidate.address == address), None)
        if call.pair is not None and there is not None and there != call.pair[1]:
            self._selected(call, at, call.pair[0], there)

    def _failed(self, call: _Call, reason: str) -> None:
        """Report that there is no path for media. Who called hangs up: baresip would hold on in silence."""
        if call.is_failed:
            return
        call.is_failed = True
        self._lab.report("ice.failed", call.name, reason=reason)
        if call.outgoing and not call.closed:
            self._control("hangup", "", call.name)

    # The end of a call

    def _closed(self, call: _Call, why: str) -> None:
        self._name(call, anyway=True)
        call.closed = why or "ended"
        call.closed_at = self._lab.now()
        if not call.is_answered:  # no media, no figures
            self._end(call)

    def _end(self, call: _Call) -> None:
        self._call = None
        packets, lost = call.rows.get("packets"), call.rows.get("lost")
        for direction in ("sent", "received") if packets is not None else ():
            of_lost = None if lost is None else getattr(lost, direction)
            self._lab.report(
                "media.rtp", call.name, at=call.closed_at, direction=direction,
                packets=getattr(packets, direction), lost=of_lost, codec="PCMU",
            )  # fmt: skip
        if call.outgoing:
            self._report_outcome(call)
        reason = "hung up" if call.closed in _BY_USER else call.closed
        self._lab.report("call.ended", call.name, at=call.closed_at, reason=reason)

    def _report_outcome(self, call: _Call) -> None:
        if call.is_answered and call.closed in _BY_USER:
            self._lab.report("sip.completed", call.name, at=call.closed_at)
        else:
            self._lab.report("sip.failed", call.name, at=call.closed_at, reason=call.closed)

    def _since(self, begin: float) -> float:
        return round(self._lab.now() - begin, 6)


def _has_all_figures(call: _Call) -> bool:
    return {"packets", "lost"} <= call.rows.keys()


def _described(candidate: log.Candidate) -> dict[str, str]:
    return {"type": candidate.type, "address": candidate.address}
