"""The data and the answers of an authoritative DNS server (RFC 1034 §4.3.2), sans I/O.

Records are A, AAAA and SRV (RFC 2782); what does not exist is answered with the SOA that negative answers
carry (RFC 2308).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.errors import Problem, UsageError
from lab.protocols.dns import EDNS_UDP_BYTES, RecordType, SrvRecord, parse_message_untrusted

PLAIN_UDP_BYTES: Final = 512
"""What a UDP answer may have where the query has no EDNS (RFC 1035 §4.2.1)."""
TCP_BYTES: Final = 65_535

_NEGATIVE_TTL: Final = 30


class DnsZone:
    """An authoritative server's data and its answers.

    ``addresses`` gives the IP addresses of a name, ``services`` the SRV records of one such as
    ``_sip._udp.example.com``. The server is authoritative for ``origin`` and all below; by default for
    everything. ``ttl`` is in seconds. Records are answered in the order given, always the same.

    Raises:
        UsageError: names, addresses or targets that are none or lie outside the zone; every one of them.
    """

    def __init__(
        self,
        addresses: Mapping[str, Iterable[str]],
        services: Mapping[str, Iterable[SrvRecord]] | None = None,
        *,
        origin: str = ".",
        ttl: int = 300,
    ) -> None:
        self._ttl = ttl
        self._problems: list[Problem] = []
        self._origin = self._name(origin) or dns.name.root
        # One set a record: dnspython shuffles the records within a set, by the global generator.
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, list[dns.rrset.RRset]]] = {}
        self._soa = self._make_soa()
        self._records[self._origin] = {dns.rdatatype.SOA: [self._soa]}
        for name, hosts in addresses.items():
            for host in hosts:
                self._add_address(name, host)
        for name, records in (services or {}).items():
            for record in records:
                self._add(name, RecordType.SRV, "{} {} {} {}".format(*record[:3], _absolute(record.target)))
        if self._problems:
            raise UsageError(*self._problems)
        # A name exists when something below it does (RFC 4592 §2.2.2): empty non-terminals are no NXDOMAIN.
        self._existing = {parent for name in self._records for parent in _upwards(name, self._origin)}

    def answer_untrusted(self, query: bytes, *, over_udp: bool = True) -> bytes | None:
        """Return the answer to a message, or None for one that is not to be answered: an answer.

        Over UDP what does not fit is cut and marked (TC), so that the client asks again over TCP.

        Raises:
            WireFormatError: not a DNS message.
        """
        asked = parse_message_untrusted(query)
        if asked.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(asked, our_payload=EDNS_UDP_BYTES)
        response.set_rcode(self._fill(asked, response))
        return response.to_wire(max_size=_room(asked) if over_udp else TCP_BYTES, prefer_truncation=True)

    def _fill(self, asked: dns.message.Message, response: dns.message.Message) -> dns.rcode.Rcode:
        """Put what is known into the response and return its code."""
        if asked.opcode() != dns.opcode.QUERY:
            return dns.rcode.NOTIMP
        if asked.edns > 0:
            return dns.rcode.BADVERS
        if len(asked.question) != 1:
            return dns.rcode.FORMERR
        question = asked.question[0]
        if question.rdclass != dns.rdataclass.IN or not question.name.is_subdomain(self._origin):
            return dns.rcode.REFUSED
        response.flags |= dns.flags.AA
        records = self._records.get(question.name, {})
        if question.rdtype == dns.rdatatype.ANY:
            response.answer += [one for of_a_type in records.values() for one in of_a_type]
        else:
            response.answer += records.get(question.rdtype, [])
        if not response.answer:
            response.authority.append(self._soa)
        self._add_targets(response)
        return dns.rcode.NOERROR if question.name in self._existing else dns.rcode.NXDOMAIN

    def _add_targets(self, response: dns.message.Message) -> None:
        """Add the addresses of SRV targets (RFC 2782, "Additional section")."""
        targets = [answer[0].target for answer in response.answer if answer.rdtype == dns.rdatatype.SRV]
        for target in dict.fromkeys(targets):
            found = self._records.get(target, {})
            response.additional += [one for kind in _ADDRESS_TYPES for one in found.get(kind, [])]

    def _name(self, text: str) -> dns.name.Name | None:
        try:
            return dns.name.from_text(text)
        except (dns.exception.DNSException, UnicodeError) as error:
            self._problems.append(Problem("", f"{text!r} is not a DNS name", str(error)))
            return None

    def _add_address(self, name: str, text: str) -> None:
        try:
            address = ip_address(text)
        except ValueError:
            self._problems.append(Problem(f"DNS name {name}", f"{text!r} is not an IP address"))
            return
        self._add(name, RecordType.A if address.version == 4 else RecordType.AAAA, str(address))

    def _add(self, text: str, kind: RecordType, data: str) -> None:
        name = self._name(text)
        if name is None:
            return
        if not name.is_subdomain(self._origin):
            self._problems.append(
                Problem(f"DNS name {text}", "outside the zone", f"names below {self._origin}")
            )
            return
        try:
            record = dns.rrset.from_text(name, self._ttl, "IN", kind, data)
        except (dns.exception.DNSException, UnicodeError, ValueError) as error:
            self._problems.append(Problem(f"DNS name {text}", f"{data!r} is no {kind} record", str(error)))
            return
        known = self._records.setdefault(name, {}).setdefault(record.rdtype, [])
        if record not in known:
            known.append(record)

    def _make_soa(self) -> dns.rrset.RRset:
        server, mailbox = (dns.name.Name((label, *self._origin.labels)) for label in (b"ns", b"hostmaster"))
        return dns.rrset.from_text(
            self._origin, _NEGATIVE_TTL, "IN", "SOA", f"{server} {mailbox} 1 3600 600 86400 {_NEGATIVE_TTL}"
        )


_ADDRESS_TYPES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)


def _absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _upwards(name: dns.name.Name, origin: dns.name.Name) -> Iterator[dns.name.Name]:
    """Yield the name and every name above it, up to the origin."""
    while name.is_subdomain(origin):
        yield name
        if name == origin:
            return
        name = name.parent()


def _room(asked: dns.message.Message) -> int:
    """Return how long a UDP answer may be (RFC 6891 §6.2.3)."""
    return max(PLAIN_UDP_BYTES, min(asked.payload, EDNS_UDP_BYTES)) if asked.edns >= 0 else PLAIN_UDP_BYTES
