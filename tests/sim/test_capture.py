"""Captures: what taps saw, as a pcapng file that analysers read without complaint."""

import struct
import subprocess
from ipaddress import ip_network

import pytest

from lab.protocols.fragmentation import fragment_packet
from lab.protocols.pcapng import PcapngWriter
from lab.sim.capture import Capture
from lab.spec.impairment import PERFECT
from lab.spec.network import Interface, Link, Network, Node, NodeKind, Route
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

STUN_REQUEST = bytes.fromhex("000100002112a442") + b"transaction1"
CHECKSUMS = [part for name in ("ip", "udp", "tcp") for part in ("-o", f"{name}.check_checksum:TRUE")]
V4 = ("192.0.2.1", 50_001), ("198.51.100.7", 3478)
V6 = ("2001:db8::1", 50_001), ("2001:db8:1::7", 3478)


def network() -> Network:
    def node(name: str, link: str, *addresses: str, **fields) -> Node:
        interface = Interface(node=name, link=link, addresses=addresses, **fields)
        route = Route(destination=ip_network("0.0.0.0/0"), link=link)
        return Node(name=name, kind=NodeKind.HOST, interfaces=(interface,), routes=(route,))

    nodes = [
        node("alice", "home", "192.0.2.1/24", "2001:db8::1/64"),
        node("server", "wan", "198.51.100.7/24", "2001:db8:1::7/64", outside=True),
        Node(name="sw", kind=NodeKind.SWITCH, interfaces=(Interface(node="sw", link="home"),)),
    ]
    links = {
        label: Link(label=label, a=a, b="sw", forward=PERFECT, backward=PERFECT)
        for label, a in (("home", "alice"), ("wan", "server"))
    }
    return Network(name="pair", nodes={one.name: one for one in nodes}, links=links)


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Take a pcapng file apart; return (type, body) of each block, checking both lengths."""
    found = []
    while data:
        kind, length = struct.unpack("<II", data[:8])
        assert length % 4 == 0
        assert struct.unpack("<I", data[length - 4 : length]) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def udp(payload: bytes = STUN_REQUEST, packet_id: int = 1, addresses=V4) -> Packet:
    return Packet(IpProtocol.UDP, *addresses, payload, packet_id=packet_id)


class TestCollecting:
    def test_records_come_out_by_time_then_in_order(self):
        capture = Capture(network())
        for number, time in enumerate([0.3, 0.1, 0.3, 0.2], start=1):
            capture.record(time, "alice", "home", udp(packet_id=number), outbound=True)
        stamps = [struct.unpack("<II", body[4:12]) for kind, body in blocks(capture.to_pcapng()) if kind == 6]
        idents = [body[24:26] for kind, body in blocks(capture.to_pcapng()) if kind == 6]
        assert [(high << 32) + low for high, low in stamps] == [
            100_000_000,
            200_000_000,
            300_000_000,
            300_000_000,
        ]
        assert [int.from_bytes(ident) for ident in idents] == [2, 4, 1, 3]

    def test_it_may_be_limited_to_what_some_nodes_saw(self):
        capture = Capture(network())
        capture.record(0.1, "alice", "home", udp(), outbound=True)
        capture.record(0.2, "server", "wan", udp(), outbound=False)
        limited = blocks(capture.to_pcapng(nodes=["server"]))
        assert [struct.unpack("<I", body[:4]) for kind, body in limited if kind == 6] == [(1,)]

    def test_equal_captures_are_equal_bytes(self):
        def take() -> bytes:
            capture = Capture(network())
            capture.record(0.1, "alice", "home", udp(), outbound=True)
            capture.record_drop(0.1, "home from alice", udp(), "lost")
            return capture.to_pcapng()

        assert take() == take()

    def test_an_empty_capture_is_a_file(self):
        assert [kind for kind, _ in blocks(Capture().to_pcapng())] == [0x0A0D0D0A]

    def test_interfaces_are_those_of_the_network_whether_used_or_not(self):
        kinds = [kind for kind, _ in blocks(Capture(network()).to_pcapng())]
        assert kinds == [0x0A0D0D0A, 1, 1, 4]

    def test_a_packet_on_no_described_interface_is_refused(self, tmp_path):
        with (tmp_path / "x.pcapng").open("wb") as stream:
            writer = PcapngWriter(stream)
            writer.write_section()
            with pytest.raises(ValueError, match="interface 0 was not described"):
                writer.write_packet(0, 0.0, b"", outbound=True)

    def test_a_comment_too_long_for_an_option_is_cut_between_characters(self, tmp_path):
        with (tmp_path / "x.pcapng").open("w+b") as stream:
            PcapngWriter(stream).write_section("é" * 40_000)
            stream.seek(0)
            [(_, body)] = blocks(stream.read())
        code, length = struct.unpack("<HH", body[16:20])
        assert (code, length) == (1, 65_534)
        assert body[20 : 20 + length].decode() == "é" * 32_767


@pytest.fixture
def tshark(tmp_path):
    """Return a function that reads a capture with tshark and returns its lines of output."""

    def read(capture: Capture, *arguments: str) -> list[str]:
        path = tmp_path / "capture.pcapng"
        path.write_bytes(capture.to_pcapng())
        done = subprocess.run(
            ["tshark", "-r", path, *CHECKSUMS, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return read


def fields(*names: str) -> list[str]:
    return ["-T", "fields", *(part for name in names for part in ("-e", name))]


@pytest.mark.system("tshark")
class TestTshark:
    def test_nothing_it_is_shown_is_malformed_or_has_a_bad_checksum(self, tshark):
        """Every kind of packet, in both families; expert severity above "note" would be a complaint."""
        capture, number = Capture(network()), 0
        for addresses in (V4, V6):
            for one in every_kind(addresses):
                number += 1
                one.packet_id = one.packet_id or number
                capture.record(number * 0.01, "alice", "home", one, outbound=True)
        assert tshark(capture, "-Y", "_ws.malformed || _ws.expert.severity >= 6291456") == []
        bad = "ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0"
        assert (
            tshark(capture, "-Y", f"{bad} || icmp.checksum.status == 0 || icmpv6.checksum.status == 0") == []
        )
        assert len(tshark(capture)) == number

    def test_a_wrong_byte_would_be_seen(self, tshark, tmp_path):
        """Negative control of the test before: one flipped bit in the payload, and tshark says so."""
        capture = Capture(network())
        capture.record(0.0, "alice", "home", udp(), outbound=True)
        spoilt = capture.to_pcapng().replace(b"transaction1", b"transaction2")
        path = tmp_path / "spoilt.pcapng"
        path.write_bytes(spoilt)
        done = subprocess.run(
            ["tshark", "-r", path, *CHECKSUMS, "-Y", "udp.checksum.status == 0"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "STUN" in done.stdout

    def test_it_shows_drop_reasons(self, tshark):
        capture = Capture(network())
        capture.record(0.1, "alice", "home", udp(packet_id=1), outbound=True)
        capture.record(0.2, "alice", "home", udp(packet_id=2), outbound=True)
        capture.record(0.3, "server", "wan", udp(packet_id=2), outbound=False)
        capture.record_drop(
            0.1, "home from alice", udp(packet_id=1), "lost on home from alice: random loss of 1%"
        )
        capture.record_drop(0.3, "server", udp(packet_id=2), "filter: 192.0.2.1 was never sent to")
        assert tshark(capture, *fields("frame.number", "frame.comment")) == [
            "1\tdropped at home from alice: lost on home from alice: random loss of 1%",
            "2\t",
            "3\tdropped at server: filter: 192.0.2.1 was never sent to",
        ]

    def test_a_packet_nobody_saw_is_shown_where_it_ended(self, tshark):
        capture = Capture(network())
        capture.record_drop(1.5, "alice", udp(), "no route to 198.51.100.7")
        assert tshark(capture, *fields("frame.interface_name", "frame.comment")) == [
            "alice\tdropped at alice: no route to 198.51.100.7"
        ]

    def test_a_late_drop_says_when_and_a_fragment_which(self, tshark):
        capture, whole = Capture(network()), udp(bytes(2_000))
        capture.record(1.0, "alice", "home", whole, outbound=True)
        capture.record_drop(1.0, "home from alice", fragment_packet(whole, 1_400)[1], "lost")
        capture.record_drop(7.0, "server", whole, "held SYN expired")
        [line] = tshark(capture, *fields("frame.comment"))
        assert "dropped fragment at offset 1376 at home from alice: lost" in line
        assert "dropped at server at 7.000000 s: held SYN expired" in line

    def test_times_interfaces_and_directions_are_those_recorded(self, tshark):
        capture = Capture(network())
        capture.record(0.0, "alice", "home", udp(), outbound=True)
        capture.record(36_000.123456789, "server", "wan", udp(), outbound=False)
        names = (
            "frame.time_epoch",
            "frame.interface_name",
            "frame.packet_flags_direction",
            "frame.packet_id",
        )
        assert tshark(capture, *fields(*names)) == [
            "0.000000000\talice:home\t0x00000002\t1",
            "36000.123456789\tserver:wan\t0x00000001\t1",
        ]

    def test_addresses_have_the_names_of_their_nodes(self, tshark):
        capture = Capture(network())
        capture.record(0.0, "alice", "home", udp(), outbound=True)
        assert "alice → server" in tshark(capture, "-N", "nN")[0]

    def test_it_follows_a_tcp_handshake(self, tshark):
        capture = Capture(network())
        alice, server = V4
        steps = [
            (alice, server, TcpFlag.SYN, 2**32 - 1, 0, b""),
            (server, alice, TcpFlag.SYN | TcpFlag.ACK, 700, 0, b""),
            (alice, server, TcpFlag.ACK | TcpFlag.PSH, 0, 701, b"hello"),
            (server, alice, TcpFlag.ACK | TcpFlag.FIN, 701, 5, b""),
        ]
        for number, (source, destination, flags, sequence, acknowledgement, payload) in enumerate(steps, 1):
            header = TcpHeader(flags, sequence, acknowledgement)
            one = Packet(IpProtocol.TCP, source, destination, payload, tcp=header, packet_id=number)
            capture.record(number * 0.01, "alice", "home", one, outbound=source == alice)
        shown = tshark(capture, *fields("tcp.flags.str", "tcp.seq", "tcp.ack", "tcp.len"))
        assert [line.replace("·", "") for line in shown] == [
            "S\t0\t0\t0",
            "AS\t0\t1\t0",
            "AP\t1\t1\t5",
            "AF\t1\t6\t0",
        ]
        assert tshark(capture, "-Y", "tcp.analysis.flags") == []

    @pytest.mark.parametrize("addresses", [V4, V6], ids=["IPv4", "IPv6"])
    def test_it_reassembles_fragments_and_dissects_stun_in_them(self, tshark, addresses):
        capture = Capture(network())
        software = bytes.fromhex("8022") + (1_396).to_bytes(2) + b"x" * 1_396
        request = STUN_REQUEST[:2] + len(software).to_bytes(2) + STUN_REQUEST[4:] + software
        for piece in fragment_packet(udp(request, addresses=addresses), 576):
            capture.record(0.0, "alice", "home", piece, outbound=True)
        assert tshark(capture, "-Y", "stun", *fields("stun.type", "udp.length", "udp.checksum.status")) == [
            "0x0001\t1428\t1"
        ]


def every_kind(addresses) -> list[Packet]:
    """Return one packet of each kind, and errors that quote each."""
    alice, server = addresses
    long = bytes(number % 251 for number in range(4_001))
    asking, answered = (alice[0], 77), (server[0], 0)
    kinds = [
        Packet(IpProtocol.UDP, alice, server, STUN_REQUEST),
        Packet(IpProtocol.UDP, alice, (server[0], 50_002), b"odd"),
        Packet(IpProtocol.UDP, alice, (server[0], 50_002)),
        Packet(IpProtocol.TCP, alice, server, tcp=TcpHeader(TcpFlag.SYN, 10, 0)),
        Packet(IpProtocol.TCP, server, alice, tcp=TcpHeader(TcpFlag.SYN | TcpFlag.ACK, 20, 11)),
        Packet(IpProtocol.TCP, alice, server, STUN_REQUEST, tcp=TcpHeader(TcpFlag.ACK, 11, 21)),
        Packet(IpProtocol.ICMP, asking, answered, b"ping", icmp=IcmpMessage(IcmpType.ECHO_REQUEST)),
        Packet(IpProtocol.ICMP, answered, asking, b"ping", icmp=IcmpMessage(IcmpType.ECHO_REPLY)),
    ]
    large = Packet(IpProtocol.UDP, alice, (server[0], 50_003), long, packet_id=len(addresses[0][0]) + 900)
    errors = [
        Packet(IpProtocol.ICMP, (server[0], 0), (alice[0], 0), icmp=IcmpMessage(kind, about, mtu=mtu))
        for about in (kinds[0], kinds[3], large)
        for kind, mtu in ((IcmpType.PORT_UNREACHABLE, 0), (IcmpType.FRAGMENTATION_NEEDED, 1_400))
    ]
    return [*kinds, *errors, *fragment_packet(large, 1_400)]
