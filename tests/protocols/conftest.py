"""A TURN server on the bench: requests in, answers out, time in the test's hand."""

import random

import pytest

from lab.protocols.channel_data import encode_channel_data, encode_channel_data_padded
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method, parse_message_untrusted
from lab.protocols.stun_auth import long_term_key
from lab.protocols.turn_server import (
    CloseClient,
    CloseRelayPort,
    OpenRelayPort,
    RelayConfig,
    SendFromRelay,
    SendToClient,
    Transport,
    TurnServer,
)

SERVER = ("203.0.113.1", 3478)
UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, bytes((17, 0, 0, 0)))


class BenchClient:
    """A client that learns realm and nonce from a challenge and signs what it sends."""

    def __init__(self, bench, address, *, user=("alice", "wonderland"), transport=Transport.UDP):
        self.bench = bench
        self.address = address
        self.username, self.password = user
        self.transport = transport
        self.server = SERVER
        self.realm = self.nonce = None
        self.last_request = b""

    @property
    def key(self):
        return long_term_key(self.username, self.realm, self.password)

    def encode(self, method, *attributes, signed=True, fingerprint=False):
        builder = MessageBuilder(method, MessageClass.REQUEST, self.bench.random.randbytes(12))
        for kind, value in attributes:
            builder.add(kind, value)
        if not signed or self.nonce is None:
            return builder.finish(fingerprint=fingerprint)
        builder.text(Attribute.USERNAME, self.username).text(Attribute.REALM, self.realm)
        builder.text(Attribute.NONCE, self.nonce)
        return builder.finish(key=self.key, fingerprint=fingerprint)

    def send(self, data):
        """Send bytes; return the server's answer to them, if any, parsed."""
        self.last_request = data
        self.bench.answers.clear()
        self.bench.receive(data, self.transport, self.address, self.server)
        messages = [a.data for a in self.bench.answers if a.client[0] == self.address[0]]
        return parse_message_untrusted(messages[-1]) if messages else None

    def request(self, method, *attributes, **how):
        return self.send(self.encode(method, *attributes, **how))

    def challenge(self):
        """Take realm and nonce from a 401."""
        answer = self.request(Method.ALLOCATE, UDP_TRANSPORT, signed=False)
        self.realm, self.nonce = answer.text(Attribute.REALM), answer.text(Attribute.NONCE)
        return answer

    def allocate(self, *attributes):
        """Go through the challenge, allocate, and return the answer."""
        self.challenge()
        return self.request(Method.ALLOCATE, UDP_TRANSPORT, *attributes)

    def relay(self, *attributes):
        """Allocate and return the relayed address."""
        return self.allocate(*attributes).xor_address(Attribute.XOR_RELAYED_ADDRESS)

    def with_peers(self, method, *peers, number=None):
        """CreatePermission or ChannelBind for these peers."""
        builder = MessageBuilder(method, MessageClass.REQUEST, self.bench.random.randbytes(12))
        for peer in peers:
            builder.xor_address(Attribute.XOR_PEER_ADDRESS, peer)
        if number is not None:
            builder.uint16(Attribute.CHANNEL_NUMBER, number)
        builder.text(Attribute.USERNAME, self.username).text(Attribute.REALM, self.realm)
        return self.send(builder.text(Attribute.NONCE, self.nonce).finish(key=self.key))

    def permit(self, *peers):
        return self.with_peers(Method.CREATE_PERMISSION, *peers)

    def bind(self, number, peer):
        return self.with_peers(Method.CHANNEL_BIND, peer, number=number)

    def refresh(self, lifetime=None):
        wish = [] if lifetime is None else [(Attribute.LIFETIME, lifetime.to_bytes(4))]
        return self.request(Method.REFRESH, *wish)

    def send_data(self, peer, data, *extra):
        """A Send indication."""
        builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, self.bench.random.randbytes(12))
        builder.xor_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data)
        for kind, value in extra:
            builder.add(kind, value)
        self.send(builder.finish())

    def send_channel(self, number, data):
        encode = encode_channel_data_padded if self.transport.is_stream else encode_channel_data
        self.send(encode(number, data))


class Bench:
    """The server, what it did, and the clock."""

    def __init__(self, **settings):
        settings.setdefault("addresses", (SERVER[0],))
        settings.setdefault("users", {"alice": "wonderland", "bob": "builder"})
        self.random = random.Random(7)
        self.server = TurnServer(RelayConfig(**settings), random=random.Random(1))
        self.now = 0.0
        self.unbindable = set()
        self.open_ports = set()
        self.answers, self.to_peers, self.notices, self.closed_clients = [], [], [], []

    def client(self, address=("198.51.100.7", 5000), **how):
        return BenchClient(self, address, **how)

    def receive(self, data, transport, client, server):
        self.perform(self.server.receive(data, transport, client, server, self.now))

    def from_peer(self, relayed, peer, data):
        """Deliver a peer's datagram; return what the client gets, or None."""
        self.answers.clear()
        self.perform(self.server.receive_from_peer(relayed, peer, data, self.now))
        return self.answers[-1].data if self.answers else None

    def advance(self, to):
        """Let time pass, waking the server whenever it wants."""
        while (wake := self.server.next_wake()) is not None and wake <= to:
            self.now = max(self.now, wake)
            self.perform(self.server.wake(self.now))
        self.now = to

    def perform(self, actions):
        for action in actions:
            match action:
                case SendToClient():
                    self.answers.append(action)
                case SendFromRelay():
                    self.to_peers.append((action.relayed, action.peer, action.data))
                case OpenRelayPort():
                    self._open(action.relayed)
                case CloseRelayPort():
                    self.open_ports.discard(action.relayed)
                case CloseClient():
                    self.closed_clients.append(action.client)
                case _:
                    self.notices.append(action)

    def _open(self, relayed):
        if self.unbindable == "all" or relayed in self.unbindable:
            self.perform(self.server.relay_port_failed(relayed))
        else:
            self.open_ports.add(relayed)
            self.perform(self.server.relay_port_opened(relayed, self.now))


@pytest.fixture(scope="session")
def bench():
    """Make a server with the given settings."""
    return Bench
