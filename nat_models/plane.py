"""One address family of a box: its three tables and the translators that work on them."""

from __future__ import annotations

from functools import cached_property, partial

from nat_models.expiry import ExpiryQueue
from nat_models.icmp import QueryTranslator
from nat_models.mappings import MappingTable
from nat_models.model import Filtering, Mapping, NatModel, ReplyReuse
from nat_models.outcome import NatEvent
from nat_models.packet import IpProtocol, Packet
from nat_models.ports import PortAllocator
from nat_models.tcp import TcpTranslator
from nat_models.udp import UdpTranslator


class Plane:
    """UDP, TCP and ICMP queries of one address family; without ``ports`` filtered, not translated.

    What is for TCP and for queries is made when the first packet needs it: most boxes of a large network see
    UDP alone.
    """

    def __init__(
        self, model: NatModel, queue: ExpiryQueue, events: list[NatEvent], ports: PortAllocator | None
    ) -> None:
        self.translates = ports is not None
        self._model = model
        self._new_table = partial(MappingTable, model=model, queue=queue, events=events, ports=ports)
        self.udp = UdpTranslator(model.lifetimes)
        self.udp.table = self._new_table(
            IpProtocol.UDP,
            mapping=model.mapping,
            filtering=model.filtering,
            unsolicited=model.unsolicited,
            reply_reuse=model.reply_reuse,
            lifetime=self.udp.first_lifetime,
        )

    @cached_property
    def tcp(self) -> TcpTranslator:
        """Who is in charge of TCP."""
        model, translator = self._model, TcpTranslator(self._model)
        translator.table = self._new_table(
            IpProtocol.TCP,
            mapping=model.tcp.mapping,
            filtering=model.tcp.filtering,
            unsolicited=model.tcp.unsolicited,
            # Sessions are tracked: a segment follows its session, whatever the axis says of datagrams.
            reply_reuse=ReplyReuse.EXISTING_FLOW_FIRST,
            lifetime=translator.first_lifetime,
        )
        return translator

    @cached_property
    def query(self) -> QueryTranslator:
        """Who is in charge of ICMP queries."""
        model, translator = self._model, QueryTranslator(self._model.lifetimes)
        # A query has no remote port: an axis that asks for it has only the address to go by.
        by_address = model.mapping is not Mapping.ENDPOINT_INDEPENDENT
        admits_all = model.filtering is Filtering.ENDPOINT_INDEPENDENT
        translator.table = self._new_table(
            IpProtocol.ICMP,
            mapping=Mapping.ADDRESS_DEPENDENT if by_address else Mapping.ENDPOINT_INDEPENDENT,
            filtering=Filtering.ENDPOINT_INDEPENDENT if admits_all else Filtering.ADDRESS_DEPENDENT,
            unsolicited=model.unsolicited,
            reply_reuse=_of_queries(model.reply_reuse),
            lifetime=translator.first_lifetime,
        )
        return translator

    @property
    def tables(self) -> list[MappingTable]:
        """The tables that were needed so far: of UDP, TCP, queries."""
        made = (vars(self).get(name) for name in ("udp", "tcp", "query"))
        return [translator.table for translator in made if translator is not None]

    def table(self, protocol: IpProtocol) -> MappingTable:
        """Return the table of one protocol."""
        return self._in_charge(protocol).table

    def translator(self, packet: Packet) -> UdpTranslator | TcpTranslator | QueryTranslator:
        """Return who is in charge of a packet; ICMP errors are nobody's."""
        return self._in_charge(packet.protocol)

    def _in_charge(self, protocol: IpProtocol) -> UdpTranslator | TcpTranslator | QueryTranslator:
        if protocol is IpProtocol.UDP:
            return self.udp
        return self.tcp if protocol is IpProtocol.TCP else self.query


def _of_queries(reuse: ReplyReuse) -> ReplyReuse:
    """Return the axis of ICMP queries: a remote without a port cannot be seen under another one."""
    return ReplyReuse.EXISTING_FLOW_FIRST if reuse is ReplyReuse.SEPARATE_FLOWS else reuse
