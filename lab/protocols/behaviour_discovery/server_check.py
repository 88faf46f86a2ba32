"""What a server that is not the lab's own can be asked: some name a second address that nobody can reach.

RFC 5780 leaves RESPONSE-PORT and PADDING to the server (§7.5, §7.6), and a server may be configured with an
address that only its own network knows. Taken on trust, each would be told as a property of the NAT.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.protocols.behaviour_discovery.probing import Corner, Ground, ProbeHost
from nat_models.packet import TransportAddress, format_address

SHORT_PADDING = 64
"""Bytes: well below what any path fragments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAbilities:
    """What a server does beyond Binding. Without ``corners`` nothing but its first address can be asked."""

    corners: bool = True
    response_port: bool = True
    padding: bool = True
    notes: tuple[str, ...] = ()


async def examine_server(
    host: ProbeHost, server: TransportAddress, other: TransportAddress | None
) -> ServerAbilities:
    """Find out what the server at ``server``, whose OTHER-ADDRESS is ``other``, really does."""
    if other is None or not _is_another(server, other):
        why = "names no other address (OTHER-ADDRESS)" if other is None else f"names {format_address(other)}"
        note = f"the server {why}: without a second address and port mapping and filtering stay unknown"
        return ServerAbilities(corners=False, response_port=False, padding=False, notes=(note,))
    ground = Ground(host, server, other)
    for corner in (Corner.BOTH, Corner.IP, Corner.PORT):
        if not await _answers(host, ground, corner):
            address = format_address(ground.endpoint(corner))
            note = f"the server names {format_address(other)} as its other address, but {address} is silent"
            return ServerAbilities(corners=False, response_port=False, padding=False, notes=(note,))
    response_port = await _honours_response_port(host, ground)
    padding = await _takes_padding(host, server)
    missing = [name for name, has in (("RESPONSE-PORT", response_port), ("PADDING", padding)) if not has]
    notes = (f"the server does not know {' and '.join(missing)}",) if missing else ()
    return ServerAbilities(response_port=response_port, padding=padding, notes=notes)


def _is_another(server: TransportAddress, other: TransportAddress) -> bool:
    """Return whether address and port both differ, within one family."""
    return other[0] != server[0] and other[1] != server[1] and (":" in other[0]) == (":" in server[0])


async def _answers(host: ProbeHost, ground: Ground, corner: Corner) -> bool:
    socket = await host.open()
    answer = await socket.ask(ground.endpoint(corner))
    socket.close()
    return answer is not None


async def _honours_response_port(host: ProbeHost, ground: Ground) -> bool:
    """Ask for a packet from an endpoint that no filter refuses: the one just sent to."""
    socket = await host.open()
    mapped = await ground.bind(socket)
    admitted = await ground.admits(socket, mapped, Corner.SAME)
    socket.close()
    ground.close()
    return admitted


async def _takes_padding(host: ProbeHost, server: TransportAddress) -> bool:
    socket = await host.open()
    answer = await socket.ask(server, padding=SHORT_PADDING)
    socket.close()
    return answer is not None
