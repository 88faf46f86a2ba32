"""A packet in a few words: what protocol it is of, what it says. For ladders; no behaviour depends on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lab.errors import WireFormatError
from lab.measure.trace import PacketKind
from lab.protocols.channel_data import is_channel_data, parse_channel_data_untrusted
from lab.protocols.dns import PORT as DNS_PORT
from lab.protocols.dns import parse_message_untrusted as parse_dns_untrusted
from lab.protocols.signalling import parse_signal_untrusted
from lab.protocols.stun import (
    Attribute,
    Message,
    MessageClass,
    Method,
    looks_like_stun,
    parse_message_untrusted,
)
from nat_models.packet import IpProtocol, Packet, TcpHeader, format_address

_TLS_RECORDS: Final = {20: "TLS", 21: "TLS alert", 22: "TLS handshake", 23: "TLS data"}
_RTP_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class PacketWords:
    """The part of :class:`~lab.measure.trace.PacketStep` that a packet's content decides."""

    kinds: tuple[PacketKind, ...]
    words: str
    exchange: str = ""
    is_check: bool = False


def words_of(packet: Packet) -> PacketWords:
    """Return what a packet says; bytes that are of no known protocol are so many bytes of UDP or TCP."""
    if packet.icmp is not None:
        about = f" about #{packet.icmp.quoted.packet_id}" if packet.icmp.quoted is not None else ""
        return PacketWords((PacketKind.ICMP,), f"ICMP {packet.icmp.type.value}{about}")
    if packet.fragment is not None and packet.fragment.offset:
        kind = PacketKind.TCP if packet.protocol is IpProtocol.TCP else PacketKind.UDP
        return PacketWords((kind,), f"fragment at offset {packet.fragment.offset}")
    if packet.tcp is not None:
        return _tcp(packet.tcp, packet.payload)
    if DNS_PORT in {packet.source[1], packet.destination[1]}:
        return _dns(packet.payload)
    return _datagram(packet.payload)


def _datagram(data: bytes) -> PacketWords:
    try:
        if looks_like_stun(data):
            return _stun(parse_message_untrusted(data))
        if is_channel_data(data):
            number, inner = parse_channel_data_untrusted(data)
            return _carried(f"ChannelData {number:#06x}", inner)
    except WireFormatError:
        pass
    if data and data[0] >> 6 == _RTP_VERSION:
        return PacketWords((PacketKind.MEDIA,), f"RTP, {len(data)} bytes")
    return PacketWords((PacketKind.UDP,), f"UDP, {len(data)} bytes")


def _carried(carrier: str, inner: bytes) -> PacketWords:
    """Return the words for a datagram that a TURN message carries."""
    content = _datagram(inner)
    kinds = tuple(dict.fromkeys((PacketKind.TURN, *content.kinds)))
    return replace(content, kinds=kinds, words=f"{carrier}: {content.words}")


def _stun(message: Message) -> PacketWords:
    carried = message.get(Attribute.DATA)
    peer = message.xor_address(Attribute.XOR_PEER_ADDRESS)
    if carried is not None and peer is not None:
        direction = "to" if message.method == Method.SEND else "from"
        return _carried(f"{message.describe()} {direction} {format_address(peer)}", carried)
    kind = PacketKind.STUN if message.method == Method.BINDING else PacketKind.TURN
    is_check = message.message_class == MessageClass.REQUEST and Attribute.PRIORITY in message
    exchange = f"{message.transaction_id.hex()} {int(message.message_class)}"
    return PacketWords((kind,), message.describe() + _details(message, is_check), exchange, is_check)


def _details(message: Message, is_check: bool) -> str:
    if is_check:
        return " (ICE check, nominating)" if Attribute.USE_CANDIDATE in message else " (ICE check)"
    relayed = message.xor_address(Attribute.XOR_RELAYED_ADDRESS)
    if relayed is not None:
        return f": relayed {format_address(relayed)}"
    if message.method == Method.BINDING and (mapped := message.mapped_address) is not None:
        return f": you are {format_address(mapped)}"
    channel = message.get(Attribute.CHANNEL_NUMBER)
    peers = ", ".join(map(format_address, message.xor_addresses(Attribute.XOR_PEER_ADDRESS)))
    if channel is not None:
        return f": {message.uint16(Attribute.CHANNEL_NUMBER):#06x} for {peers}"
    return f" for {peers}" if peers else ""


def _dns(data: bytes) -> PacketWords:
    try:
        message = parse_dns_untrusted(data)
    except WireFormatError:
        return PacketWords((PacketKind.DNS,), f"DNS, {len(data)} bytes")
    asked = ", ".join(f"{_type_name(q.rdtype)} {q.name.to_text()}" for q in message.question)
    is_answer = bool(message.flags & 0x8000)
    verb = "answer" if is_answer else "query"
    return PacketWords((PacketKind.DNS,), f"DNS {verb} {asked}", f"{message.id} {verb}")


def _type_name(number: int) -> str:
    return str(getattr(number, "name", number))


def _tcp(header: TcpHeader, payload: bytes) -> PacketWords:
    flags = (header.flags.name or "no flags").replace("|", " ")
    exchange = f"{flags} {header.sequence} {header.acknowledgement} {len(payload)}"
    kinds: tuple[PacketKind, ...] = (PacketKind.TCP,)
    content = ""
    if payload:
        inner = _stream_content(payload)
        kinds = tuple(dict.fromkeys((*kinds, *inner.kinds)))
        content = f": {inner.words}"
    return PacketWords(kinds, f"TCP {flags}{content}", exchange)


def _stream_content(payload: bytes) -> PacketWords:
    if payload[0] in _TLS_RECORDS and payload[1:2] == b"\x03":
        return PacketWords((), _TLS_RECORDS[payload[0]])
    try:
        if looks_like_stun(payload):
            return _stun(parse_message_untrusted(payload))
        signal = parse_signal_untrusted(payload)
    except WireFormatError:
        return PacketWords((), f"{len(payload)} bytes")
    ends = " to ".join(name for name in (signal.sender, signal.to) if name)
    return PacketWords((), f"{signal.kind} of {ends}")
