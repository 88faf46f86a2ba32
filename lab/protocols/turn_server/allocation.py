"""What the server keeps of one client: allocation, permissions, channels (RFC 8656 §§6, 9, 12)."""

from __future__ import annotations

from lab.protocols.stun_address import family_of
from lab.protocols.turn_server.actions import FiveTuple
from lab.protocols.turn_server.expiry import Expiring
from nat_models.packet import TransportAddress


class Allocation(Expiring):
    """One client's relayed addresses and everything that hangs on them."""

    __slots__ = (
        "channels",
        "channels_by_peer",
        "five_tuple",
        "permissions",
        "relayed",
        "response",
        "transaction_id",
        "username",
    )

    def __init__(
        self, five_tuple: FiveTuple, username: str, relayed: list[TransportAddress], expires: float
    ) -> None:
        super().__init__(expires)
        self.five_tuple = five_tuple
        self.username = username
        self.relayed = {family_of(address[0]): address for address in relayed}
        self.permissions: dict[str | TransportAddress, Permission] = {}
        self.channels: dict[int, Channel] = {}
        self.channels_by_peer: dict[TransportAddress, Channel] = {}
        self.transaction_id = b""
        self.response = b""

    def give_up(self, family: int) -> TransportAddress:
        """Drop one of two address families with all that belongs to it; return its relayed address."""
        for channel in [c for c in self.channels.values() if family_of(c.peer[0]) == family]:
            channel.remove()
        for permission in [p for p in self.permissions.values() if family_of(p.peer[0]) == family]:
            permission.remove()
        return self.relayed.pop(family)

    def clear(self) -> list[TransportAddress]:
        """Mark all of it gone and return the relayed addresses to close."""
        self.gone = True
        for item in (*self.permissions.values(), *self.channels.values()):
            item.gone = True
        # They refer to it, too: what refers to itself is freed late, by the garbage collector alone.
        for table in (self.permissions, self.channels, self.channels_by_peer):
            table.clear()
        return list(self.relayed.values())


class Permission(Expiring):
    """Leave for one peer to send to an allocation.

    ``key`` is the peer's IP address; with its port where the server (wrongly) keys permissions by both.
    """

    __slots__ = ("allocation", "key")

    def __init__(self, allocation: Allocation, key: str | TransportAddress, expires: float) -> None:
        super().__init__(expires)
        self.allocation = allocation
        self.key = key

    @property
    def peer(self) -> TransportAddress:
        """The peer; port 0 stands for every port."""
        return (self.key, 0) if isinstance(self.key, str) else self.key

    def remove(self) -> None:
        """Take it off its allocation."""
        self.gone = True
        del self.allocation.permissions[self.key]


class Channel(Expiring):
    """A channel number tied to a peer.

    After its end it stays for a while, not ``bound`` but in the way: neither its number nor its peer may be
    bound otherwise (RFC 8656 §12), lest data on its way under the old meaning be delivered under the new one.
    """

    __slots__ = ("allocation", "bound", "number", "peer")

    def __init__(self, allocation: Allocation, number: int, peer: TransportAddress, expires: float) -> None:
        super().__init__(expires)
        self.allocation = allocation
        self.number = number
        self.peer = peer
        self.bound = True

    def remove(self) -> None:
        """Take it off its allocation."""
        self.gone = True
        del self.allocation.channels[self.number]
        del self.allocation.channels_by_peer[self.peer]


class Reservation(Expiring):
    """The port above an even one, held open for the client that shows the token (RFC 8656 §7.2)."""

    __slots__ = ("relayed", "token")

    def __init__(self, token: bytes, relayed: TransportAddress, expires: float) -> None:
        super().__init__(expires)
        self.token = token
        self.relayed = relayed
