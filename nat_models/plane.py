"""One address family of a box: its three tables and the translators that work on them."""

from __future__ import annotations

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
    """UDP, TCP and ICMP queries of one address family; without ``ports`` filtered, not translated."""

    def __init__(
        self, model: NatModel, queue: ExpiryQueue, events: list[NatEvent], ports: PortAllocator | None
    ) -> None:
        self.translates = ports is not None
        self.udp = UdpTranslator(model.lifetimes)
        self.tcp = TcpTranslator(model)
        self.query = QueryTranslator(model.lifetimes)
        self.udp.table = MappingTable(
            IpProtocol.UDP,
            model,
            queue,
            events,
            mapping=model.mapping,
            filtering=model.filtering,
            unsolicited=model.unsolicited,
            reply_reuse=model.reply_reuse,
            ports=ports,
            lifetime=self.udp.first_lifetime,
        )
        self.tcp.table = MappingTable(
            IpProtocol.TCP,
            model,
            queue,
            events,
            mapping=model.tcp.mapping,
            filtering=model.tcp.filtering,
            unsolicited=model.tcp.unsolicited,
            # Sessions are tracked: a segment follows its session, whatever the axis says of datagrams.
            reply_reuse=ReplyReuse.EXISTING_FLOW_FIRST,
            ports=ports,
            lifetime=self.tcp.first_lifetime,
        )
        # A query has no remote port: an axis that asks for it has only the address to go by.
        by_address = model.mapping is not Mapping.ENDPOINT_INDEPENDENT
        admits_all = model.filtering is Filtering.ENDPOINT_INDEPENDENT
        self.query.table = MappingTable(
            IpProtocol.ICMP,
            model,
            queue,
            events,
            mapping=Mapping.ADDRESS_DEPENDENT if by_address else Mapping.ENDPOINT_INDEPENDENT,
            filtering=Filtering.ENDPOINT_INDEPENDENT if admits_all else Filtering.ADDRESS_DEPENDENT,
            unsolicited=model.unsolicited,
            reply_reuse=model.reply_reuse,
            ports=ports,
            lifetime=self.query.first_lifetime,
        )
        self.tables = {t.table.protocol: t.table for t in (self.udp, self.tcp, self.query)}

    def translator(self, packet: Packet) -> UdpTranslator | TcpTranslator | QueryTranslator:
        """Return who is in charge of a packet; ICMP errors are nobody's."""
        if packet.protocol is IpProtocol.UDP:
            return self.udp
        return self.tcp if packet.protocol is IpProtocol.TCP else self.query
