"""What behaviour discovery asks of the world: sockets that send Binding requests, and the passing of time.

The procedure is written against these, so that it runs on simulated and on real sockets and imports neither.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lab.errors import TrialInvalid
from nat_models.packet import TransportAddress

T = TypeVar("T")


class DiscoveryIncomplete(TrialInvalid):
    """The server stopped answering in the middle: what was found so far says nothing."""


class Corner(enum.Enum):
    """One of the server's four endpoints, as (change IP, change port) relative to the one asked."""

    SAME = (False, False)
    PORT = (False, True)
    IP = (True, False)
    BOTH = (True, True)


@dataclass(frozen=True, slots=True)
class Answer:
    """A Binding success response: what it says, and where it came from."""

    mapped: TransportAddress
    source: TransportAddress
    other: TransportAddress | None = None
    plain_mapped: TransportAddress | None = None
    """MAPPED-ADDRESS, which meddling boxes rewrite; None where the server does not send it."""


class ProbeSocket(Protocol):
    """A UDP socket of the probing host. Requests are repeated for a while before None is returned."""

    @property
    def local(self) -> TransportAddress:
        """The socket's own address."""

    async def ask(
        self,
        server: TransportAddress,
        *,
        answer_from: Corner = Corner.SAME,
        response_port: int | None = None,
        listener: ProbeSocket | None = None,
        padding: int = 0,
    ) -> Answer | None:
        """Send a Binding request and return its response, or None.

        Args:
            server: Where to.
            answer_from: The server's endpoint that is to answer (CHANGE-REQUEST).
            response_port: The port to answer to (RESPONSE-PORT) on the address the server sees.
            listener: The socket that waits for the answer; this one if None.
            padding: Bytes of PADDING to send and to ask for.
        """

    async def reach(self, target: TransportAddress, listener: ProbeSocket) -> TransportAddress | None:
        """Send Binding requests to ``target``; return the source that ``listener`` sees them come from."""

    def close(self) -> None:
        """Close the socket."""


class ProbeHost(Protocol):
    """The probing host."""

    @property
    def random(self) -> random.Random:
        """Seeded randomness, for ports."""

    async def open(self, port: int = 0) -> ProbeSocket:
        """Open a socket; OSError if the port is taken. Port 0 takes any."""

    def now(self) -> float:
        """Return the seconds since some beginning."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    async def together(self, *steps: Awaitable[T]) -> Sequence[T]:
        """Run steps side by side and return their results in order."""


class Ground:
    """The server's corners as seen from one host, and the moves that every test is made of."""

    def __init__(self, host: ProbeHost, server: TransportAddress, other: TransportAddress) -> None:
        self.host = host
        self.server = server
        self.disguised: list[tuple[TransportAddress, TransportAddress]] = []
        """(sender, what it looked like): packets that came in under another source."""
        self._helpers: dict[str, ProbeSocket] = {}
        self._corners = {
            Corner.SAME: server,
            Corner.PORT: (server[0], other[1]),
            Corner.IP: (other[0], server[1]),
            Corner.BOTH: other,
        }

    def endpoint(self, corner: Corner) -> TransportAddress:
        """Return one of the server's endpoints."""
        return self._corners[corner]

    def close(self) -> None:
        """Close the sockets that are kept for helping."""
        for helper in self._helpers.values():
            helper.close()
        self._helpers.clear()

    async def bind(self, socket: ProbeSocket, corner: Corner = Corner.SAME) -> TransportAddress:
        """Return the mapping of ``socket`` towards one of the server's endpoints.

        Raises:
            DiscoveryIncomplete: no answer.
        """
        answer = await socket.ask(self._corners[corner])
        if answer is None:
            raise DiscoveryIncomplete(f"no answer from {self._corners[corner]}, though the server is there")
        return answer.mapped

    async def admits(self, listener: ProbeSocket, mapped: TransportAddress, corner: Corner) -> bool:
        """Return whether a packet from ``corner`` to ``mapped`` reaches ``listener``."""
        return await self.source_seen(listener, mapped, corner) is not None

    async def source_seen(
        self, listener: ProbeSocket, mapped: TransportAddress, corner: Corner
    ) -> TransportAddress | None:
        """Return the source that ``listener`` sees of a packet from ``corner`` to ``mapped``, None if none.

        The packet is the answer to another socket's request, so the listener itself sends nothing.
        """
        helper = await self._helper(mapped[0])
        answer = await helper.ask(self.server, answer_from=corner, response_port=mapped[1], listener=listener)
        if answer is not None and answer.source != self._corners[corner]:
            self.disguised.append((self._corners[corner], answer.source))
        return answer.source if answer is not None else None

    async def send_unanswered(self, socket: ProbeSocket) -> TransportAddress | None:
        """Send from ``socket`` to the server without anything coming back to it; return its mapping.

        The answer goes to another socket's mapping, which must be on the same external address; None where
        the box gave them different ones.
        """
        witness = await self.host.open()
        try:
            at = await self.bind(witness)
            answer = await socket.ask(self.server, response_port=at[1], listener=witness)
            return answer.mapped if answer else None
        finally:
            witness.close()

    async def _helper(self, external_ip: str) -> ProbeSocket:
        """Return a socket whose mapping is on that external address (a box may have several).

        It is kept: a box may allow a host few mappings. After a while its mapping may be another one.
        """
        helper = self._helpers.get(external_ip)
        if helper is not None and (await self.bind(helper))[0] == external_ip:
            return helper
        for _ in range(16):
            helper = await self.host.open()
            if (await self.bind(helper))[0] == external_ip:
                self._helpers[external_ip] = helper
                return helper
            helper.close()
        raise DiscoveryIncomplete(f"no second socket got the external address {external_ip}")
