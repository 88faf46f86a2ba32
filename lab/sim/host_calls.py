"""What asyncio asks of the machine, answered by the simulated host on which the running code runs.

Sockets, servers, TLS and name resolution: the same calls, with the same errors. What has no place in the
simulation is refused by ``NotImplementedError``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lab.sim.current import current_host

if TYPE_CHECKING:
    import ssl


class HostCalls(asyncio.AbstractEventLoop):
    """The part of an event loop that reaches outside: every call goes to the current host."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run ``func`` at once, in this thread; name resolution is the simulated network's.

        Raises:
            NotImplementedError: another function of the socket module, which would reach the real network.
        """
        del executor
        if func is socket.gethostbyname:
            return self.create_task(self._gethostbyname(args[0]))
        if func is socket.getaddrinfo:
            names = ("host", "port", "family", "type", "proto", "flags")
            return self.create_task(self.getaddrinfo(**dict(zip(names, args, strict=False))))
        if getattr(func, "__module__", "") in {"socket", "_socket"}:
            raise NotImplementedError(f"{func.__name__} would leave the simulation")
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the awaiting caller
            future.set_exception(error)
        return future

    async def _gethostbyname(self, name: str) -> str:
        found = await current_host().resolve(name, socket.AF_INET)
        return found[0]

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Resolve by the current host's resolver.

        Without a host the address is the loopback's, or the wildcard to listen on (AI_PASSIVE). Services have
        numbers here, no names.

        Raises:
            socket.gaierror: the name does not exist.
        """
        name = host.decode() if isinstance(host, bytes) else host
        if not name:
            name = "" if flags & socket.AI_PASSIVE else "localhost"
        number = _service_number(port)
        addresses = await current_host().resolve(name, family) if name else _wildcards(family)
        results: list[tuple[Any, ...]] = []
        for address in addresses:
            v6 = ":" in address
            sockaddr = (address, number, 0, 0) if v6 else (address, number)
            for kind, protocol in _SOCKET_TYPES:
                if type in {0, kind} and proto in {0, protocol}:
                    results.append((socket.AF_INET6 if v6 else socket.AF_INET, kind, protocol, "", sockaddr))
        return results

    async def getnameinfo(self, sockaddr: tuple[Any, ...], flags: int = 0) -> tuple[str, str]:
        """Return address and port as text: nobody serves the reverse zones."""
        return str(sockaddr[0]), str(sockaddr[1])

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        **options: Any,
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """Open a UDP socket on the current host.

        Raises:
            OSError: the address is not the host's, or the port is taken.
            ValueError: the addresses have no family in common, or there is neither an address nor a family.
        """
        _refuse_real_socket(options)
        return await current_host().open_datagram(
            protocol_factory, local_addr, remote_addr, options.get("family", 0)
        )

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: ssl.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        local_addr: tuple[str, int] | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect by TCP, or TLS over TCP, from the current host: to one address after the other.

        Raises:
            OSError: every address refused, was unreachable or timed out.
        """
        _refuse_real_socket(options)
        return await current_host().open_connection(
            protocol_factory,
            (host or "localhost", port or 0),
            ssl=ssl,
            server_hostname=server_hostname,
            local=local_addr,
            family=options.get("family", 0),
        )

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: ssl.SSLContext | None = None,
        backlog: int = 100,
        **options: Any,
    ) -> asyncio.AbstractServer:
        """Listen for TCP, or TLS over TCP, on the current host.

        Raises:
            OSError: the address is not the host's, or the port is taken.
        """
        _refuse_real_socket(options)
        return await current_host().open_server(protocol_factory, host, port or 0, ssl=ssl, backlog=backlog)

    async def start_tls(  # type: ignore[override]
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        **options: Any,
    ) -> asyncio.Transport:
        """Upgrade an existing connection to TLS (proxies and tunnels)."""
        return await current_host().start_tls(
            transport, protocol, sslcontext, server_side=server_side, server_hostname=server_hostname
        )


_SOCKET_TYPES: Final = (
    (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    (socket.SOCK_RAW, socket.IPPROTO_IP),
)
"""What the C library answers with where no type is asked for."""


def _service_number(port: bytes | str | int | None) -> int:
    try:
        return int(port or 0)
    except ValueError:
        raise socket.gaierror(socket.EAI_SERVICE, f"{port!r} is no port number") from None


def _wildcards(family: int) -> list[str]:
    both = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - simulated sockets
    return [address for of_family, address in both.items() if family in {0, of_family}]


def _refuse_real_socket(options: Mapping[str, Any]) -> None:
    if options.get("sock") is not None:
        raise NotImplementedError("a socket of the operating system has no place in the simulation")
