"""``callpath probe`` on the loopback: against the lab's own relay, and against servers that do less."""

import asyncio
import contextlib
import functools
import itertools
import json
import socket
import threading

import pytest

from lab.errors import HostNotReady, UsageError, WireFormatError
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method, parse_message_untrusted
from lab.protocols.turn_server import RelayConfig
from lab.roles.real_context import RealRoleContext
from lab.roles.relay import Relay, RelayRoleConfig
from lab.run.field_probe import resolve_server
from nat_models import load_preset
from nat_models.model import Transparency

ADDRESSES = ("127.0.0.1", "127.0.0.2")
FAST = ("--pace", "0")


def free_port():
    """A port of the loopback that is free with the next one, on both addresses."""
    while True:
        with contextlib.ExitStack() as stack:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            probe.bind((ADDRESSES[0], 0))
            port = probe.getsockname()[1]
            try:
                for place in ((ADDRESSES[0], port + 1), (ADDRESSES[1], port), (ADDRESSES[1], port + 1)):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(place)
            except (OSError, OverflowError):
                continue
            return port


@contextlib.contextmanager
def in_thread(serve):
    """Run ``serve(ready, stop)`` on a loop of its own beside the command."""
    ready, box = threading.Event(), {}

    async def main():
        box["loop"], box["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await serve(ready, box["stop"])

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join()


@pytest.fixture
def relay():
    """The lab's relay on two loopback addresses; its primary endpoint as text."""
    port = free_port()

    async def serve(ready, stop):
        server = RelayConfig(addresses=ADDRESSES, port=port, alternate_port=port + 1)
        role = Relay(
            RelayRoleConfig(server=server, tcp_ports=()),
            RealRoleContext("relay", ADDRESSES),
        )
        running = asyncio.create_task(role.run())
        await role.ready.wait()
        ready.set()
        await stop.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    with in_thread(serve):
        yield f"{ADDRESSES[0]}:{port}"


class PlainServer(asyncio.DatagramProtocol):
    """A STUN server of RFC 8489 alone; ``other`` is an OTHER-ADDRESS that it names all the same."""

    def __init__(self, other=None):
        self.other = other

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        with contextlib.suppress(WireFormatError):
            request = parse_message_untrusted(data)
            answer = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, request.transaction_id)
            answer.xor_address(Attribute.XOR_MAPPED_ADDRESS, addr)
            if self.other:
                answer.address(Attribute.OTHER_ADDRESS, self.other)
            self.transport.sendto(answer.finish(), addr)


@contextlib.contextmanager
def plain_server(other=None):
    port = free_port()

    async def serve(ready, stop):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: PlainServer(other), local_addr=(ADDRESSES[0], port)
        )
        ready.set()
        await stop.wait()
        transport.close()

    with in_thread(serve):
        yield f"{ADDRESSES[0]}:{port}"


class SimpleServer(asyncio.DatagramProtocol):
    """One of four endpoints of a server that obeys CHANGE-REQUEST, ignores RESPONSE-PORT, refuses PADDING."""

    def __init__(self, own, all_of_them):
        self.own, self.all = own, all_of_them

    def connection_made(self, transport):
        self.all[self.own] = transport

    def datagram_received(self, data, addr):
        request = parse_message_untrusted(data)
        if Attribute.PADDING in request:
            refusal = MessageBuilder(Method.BINDING, MessageClass.ERROR, request.transaction_id)
            self.all[self.own].sendto(refusal.error(420, "Unknown Attribute").finish(), addr)
            return
        change = request.uint32(Attribute.CHANGE_REQUEST) or 0
        sender = (self.own[0] ^ bool(change & 4), self.own[1] ^ bool(change & 2))
        other = self.all[True, True].get_extra_info("sockname")
        answer = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, request.transaction_id)
        answer.xor_address(Attribute.XOR_MAPPED_ADDRESS, addr).address(Attribute.OTHER_ADDRESS, other)
        self.all[sender].sendto(answer.finish(), addr)


@contextlib.contextmanager
def simple_server():
    port = free_port()

    async def serve(ready, stop):
        endpoints = {}
        for own in itertools.product((False, True), repeat=2):
            place = (ADDRESSES[own[0]], port + own[1])
            await asyncio.get_running_loop().create_datagram_endpoint(
                functools.partial(SimpleServer, own, endpoints), local_addr=place
            )
        ready.set()
        await stop.wait()
        for transport in endpoints.values():
            transport.close()

    with in_thread(serve):
        yield f"{ADDRESSES[0]}:{port}"


def test_where_there_is_no_nat_the_path_is_none(callpath, relay):
    done = callpath("probe", relay, *FAST)
    assert done.code == 0, done.err
    assert "Classification: none" in done.out
    assert "symmetric" in done.out
    assert "a direct path is possible" in done.out


def test_what_was_found_is_saved_as_a_preset_that_other_commands_take(callpath, relay, tmp_path):
    """By name out of ./nat_models, by path from anywhere, with changes in braces as any other."""
    (tmp_path / "nat_models").mkdir()
    done = callpath("probe", relay, *FAST, "--save", "nat_models/our-office.yaml")
    assert done.code == 0, done.err
    model = load_preset("our-office")
    assert model.name == "our-office"
    assert model.transparency is Transparency.NONE
    assert f"callpath probe {relay}" in model.sources[0]
    assert load_preset("./nat_models/our-office.yaml") == model
    assert load_preset("our-office{fragments: false}").fragments is False
    assert callpath("predict", "our-office", "symmetric").code == 0
    assert "our-office" in callpath("ls", "presets").out
    topology = ("predict", "--topology", "two_homes", "--set")
    for nat in ("our-office", "./nat_models/our-office.yaml"):
        done = callpath(*topology, f"alice_nat={nat}", "--set", "bob_nat=symmetric")
        assert done.code == 0, done.err
        assert "a direct path is possible" in done.out


def test_json_holds_every_axis_and_what_calls_come_to(callpath, relay):
    done = callpath("probe", relay, *FAST, "--json")
    data = json.loads(done.out)
    assert data["classified"]
    assert data["axes"]["transparency"] == {"settled": True, "possible": ["none"], "why": ""}
    assert data["axes"]["mapping"]["possible"] == ["endpoint-independent"]
    assert data["calls"]["none"] == ["direct"]
    assert data["mapped"].startswith("127.0.0.1:")


def test_without_state_on_the_path_no_lifetime_is_searched(callpath, relay):
    done = callpath("probe", relay, *FAST, "--lifetime", "20s")
    assert done.code == 0
    assert "nothing on the path keeps state" in done.err


class TestServersThatDoLess:
    def test_of_a_plain_server_is_said_what_cannot_be_told(self, callpath, tmp_path):
        with plain_server() as server:
            done = callpath("probe", server, *FAST, "--save", "field.yaml")
        assert done.code == 3
        assert "Not classified" in done.out
        assert "names no other address (OTHER-ADDRESS)" in done.out
        assert "needs a second address (firewall or none)" in done.out
        assert "is not written" in done.err
        assert not (tmp_path / "field.yaml").exists()

    @pytest.mark.parametrize(
        "other", [("127.0.0.1", 9), ("::1", 9), ("255.255.255.255", 9), ("127.0.0.2", 0)]
    )
    def test_a_second_address_that_is_none_is_not_asked(self, callpath, other):
        with plain_server(other=other) as server:
            done = callpath("probe", server, *FAST)
        assert done.code == 3, done.err
        assert "mapping          which remotes see one port           unknown: not probed" in done.out

    def test_what_rests_on_another_port_is_not_told_where_the_server_sends_to_none(self, callpath, tmp_path):
        """The path has no NAT and no filter; by RESPONSE-PORT ignored it would look like a firewall."""
        with simple_server() as server:
            done = callpath("probe", server, *FAST, "--lifetime", "20s", "--save", "field.yaml")
        assert done.code == 3, done.err
        assert "the server does not know RESPONSE-PORT and PADDING" in done.out
        assert "unknown: the server does not know RESPONSE-PORT (firewall or none)" in done.out
        assert "fragments        do fragments pass                    unknown" in done.out
        assert "filtering        who may send in                      endpoint-independent" in done.out
        assert "lifetimes cannot be searched" in done.err
        assert not (tmp_path / "field.yaml").exists()

    def test_a_second_address_that_nobody_reaches_is_not_taken_for_a_filter(self, callpath):
        with plain_server(other=("127.0.0.3", 9)) as server:
            done = callpath("probe", server, *FAST)
        assert done.code == 3
        assert "is silent" in done.out
        assert "not probed (endpoint-independent or address-dependent" in done.out

    def test_no_answer_is_inconclusive_and_says_why_that_may_be(self, callpath):
        done = callpath("probe", f"127.0.0.1:{free_port()}", *FAST)
        assert done.code == 3
        assert "no answer from 127.0.0.1" in done.err
        assert "UDP does not pass" in done.err
        assert done.out == ""

    def test_a_name_that_does_not_resolve(self, callpath):
        done = callpath("probe", "stun.invalid")
        assert done.code == 4
        assert "stun.invalid does not resolve" in done.err
        assert "DNS" in done.err


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1", ("127.0.0.1", 3478)),
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("::1", ("::1", 3478)),
        ("[::1]:5000", ("::1", 5000)),
        ("[::1]", ("::1", 3478)),
    ],
)
def test_a_server_is_an_address_with_or_without_a_port(text, endpoint):
    assert resolve_server(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", ":3478", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:x", "[::1", "[::1]x"]
)
def test_what_names_no_server_is_refused(text):
    with pytest.raises(UsageError, match="names no server"):
        resolve_server(text)


def test_a_name_that_cannot_be_one_does_not_resolve():
    with pytest.raises(HostNotReady, match="does not resolve"):
        resolve_server("a" * 80 + ".invalid")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--save", "field"), "names no preset file"),
        (("--save", "nowhere/field.yaml"), "no directory"),
        (("--save", "symmetric.yaml"), "is a preset that ships"),
        (("--save", "linux.yaml"), "is a preset that ships"),
        (("--lifetime", "10"), "--lifetime"),
        (("--lifetime", "2s"), "--resolution"),
        (("--resolution", "0"), "--resolution"),
    ],
)
def test_bad_options_are_refused_before_a_packet_is_sent(callpath, arguments, words):
    done = callpath("probe", "127.0.0.1:9", *arguments)
    assert done.code == 2
    assert words in done.err
    assert "probe:" not in done.err


def test_a_file_that_is_there_is_replaced_only_by_force(callpath, relay, tmp_path):
    (tmp_path / "field.yaml").write_text("mine\n")
    assert callpath("probe", relay, *FAST, "--save", "field.yaml").code == 2
    assert (tmp_path / "field.yaml").read_text() == "mine\n"
    assert callpath("probe", relay, *FAST, "--save", "field.yaml", "--force").code == 0
    assert load_preset("./field.yaml").name == "field"
