"""DNS messages as a stub resolver sees them: questions, answers, SRV order (RFC 1034, RFC 1035, RFC 2782).

Sans I/O: bytes in, bytes out. Wire format is dnspython's work. Message identifiers are the caller's: they
come from seeded randomness. The server's side is :mod:`lab.protocols.dns_zone`.
"""

from __future__ import annotations

import enum
import random
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from lab.errors import Problem, UsageError, WireFormatError

PORT: Final = 53

EDNS_UDP_BYTES: Final = 1232
"""What fits every path unfragmented: IPv6's least MTU less the headers."""


class RecordType(enum.StrEnum):
    """What can be asked for."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"


class ResponseCode(enum.StrEnum):
    """How a server answered (RFC 1035 §4.1.1), as far as a resolver has to tell."""

    NOERROR = "NOERROR"
    NXDOMAIN = "NXDOMAIN"
    FAILURE = "failure"


class SrvRecord(NamedTuple):
    """One server of a service (RFC 2782): lowest ``priority`` first, ``weight`` the share among equals."""

    priority: int
    weight: int
    port: int
    target: str

    @staticmethod
    def from_text(text: str, where: str = "") -> SrvRecord:
        """Return the record that reads ``"10 60 5060 sip1.example.com"``, as in a zone file.

        Raises:
            UsageError: it does not read so, or a number is outside 0..65535.
        """
        words = text.split()
        if len(words) != 4 or not all(map(_is_16_bit, words[:3])):
            expected = "priority, weight, port and target, such as 10 60 5060 sip1.example.com"
            raise UsageError(Problem(where, f"{text!r} is no SRV record", expected))
        priority, weight, port = map(int, words[:3])
        return SrvRecord(priority, weight, port, words[3])


def _is_16_bit(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 0xFFFF


def parse_message_untrusted(data: bytes) -> dns.message.Message:
    """Return the message.

    Raises:
        WireFormatError: not a DNS message.
    """
    try:
        # keyring=False: signatures (TSIG) are not checked; checking them reads the wall clock.
        return dns.message.from_wire(data, keyring=False)
    except Exception as error:  # noqa: BLE001 - dnspython documents no closed set of what from_wire raises
        raise WireFormatError(f"not a DNS message: {error}") from None


class DnsAnswer(NamedTuple):
    """What a server said: its code, whether the answer was cut (ask over TCP), and the records."""

    code: ResponseCode
    truncated: bool = False
    addresses: tuple[str, ...] = ()
    services: tuple[SrvRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsQuery:
    """One question of a resolver; ``message_id`` (16 bits) is to be unpredictable and new for each."""

    name: str
    kind: RecordType
    message_id: int


def build_query(query: DnsQuery) -> bytes:
    """Return the question as bytes, with recursion desired and EDNS (RFC 6891).

    Raises:
        UsageError: the name is not a DNS name.
    """
    try:
        message = dns.message.make_query(
            query.name, query.kind.value, id=query.message_id, use_edns=0, payload=EDNS_UDP_BYTES
        )
        return message.to_wire()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise UsageError(Problem("", f"{query.name!r} is not a DNS name", str(error))) from None


def parse_answer_untrusted(data: bytes, query: DnsQuery) -> DnsAnswer:
    """Return what the answer to ``query`` says; aliases (CNAME) are followed within it.

    Raises:
        WireFormatError: not a DNS message, or not an answer to this query (RFC 5452 §9.1): to be ignored.
    """
    message = parse_message_untrusted(data)
    asked = dns.name.from_text(query.name)
    kind = dns.rdatatype.from_text(query.kind.value)
    question = [(entry.name, entry.rdtype) for entry in message.question]
    is_answer = message.flags & dns.flags.QR and message.opcode() == dns.opcode.QUERY
    if not is_answer or message.id != query.message_id or question != [(asked, kind)]:
        raise WireFormatError(f"not the answer to the query for {query.name} {query.kind}")
    code = _CODES.get(message.rcode(), ResponseCode.FAILURE)
    truncated = bool(message.flags & dns.flags.TC)
    if code is not ResponseCode.NOERROR:
        return DnsAnswer(code, truncated)
    records = _records_of(message, asked, kind)
    if query.kind is RecordType.SRV:
        services = [SrvRecord(r.priority, r.weight, r.port, _shown(r.target)) for r in records]
        return DnsAnswer(code, truncated, services=tuple(services))
    return DnsAnswer(code, truncated, addresses=tuple(record.address for record in records))


_CODES: Final = {
    dns.rcode.NOERROR: ResponseCode.NOERROR,
    dns.rcode.NXDOMAIN: ResponseCode.NXDOMAIN,
}


def _records_of(
    message: dns.message.Message, asked: dns.name.Name, kind: dns.rdatatype.RdataType
) -> list[Any]:
    """Return the records of a type under the name asked for, or under what it is an alias of."""
    name, seen = asked, set[dns.name.Name]()
    while name not in seen:
        seen.add(name)
        alias = None
        for answer in message.answer:
            if answer.name == name and answer.rdclass == dns.rdataclass.IN:
                if answer.rdtype == kind:
                    return list(answer)
                if answer.rdtype == dns.rdatatype.CNAME:
                    alias = answer[0].target
        if alias is not None:
            name = alias
    return []


def _shown(name: dns.name.Name) -> str:
    """Return a name as people write it; the root, which says "no such service", stays a dot."""
    return name.to_text(omit_final_dot=name != dns.name.root)


def order_services(records: Iterable[SrvRecord], lots: random.Random) -> list[SrvRecord]:
    """Return servers in the order in which to try them (RFC 2782, "Usage rules").

    By priority, and among equals by lot, each with a chance in proportion to its weight.
    """
    waiting = sorted(records, key=lambda record: (record.priority, record.weight > 0))
    ordered = []
    while waiting:
        equals = [record for record in waiting if record.priority == waiting[0].priority]
        running = list(accumulate(record.weight for record in equals))
        # Those of weight 0 stand first: they are chosen when the draw, which includes both ends, is 0.
        chosen = equals[bisect_left(running, lots.randint(0, running[-1]))]
        ordered.append(chosen)
        waiting.remove(chosen)
    return ordered
