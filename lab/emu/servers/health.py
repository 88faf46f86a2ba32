"""Whether the relay in a container is well: ``python -m lab.emu.servers.health``, for its health check."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import ifaddr

from lab.emu.servers.listener import Listener
from lab.emu.servers.stun_check import answers
from lab.errors import WireFormatError
from lab.protocols.turn_server import Transport
from lab.spec.roles import STUN_PORT

_SECONDS: Final = 2.0


def main() -> int:
    """Return 0 if it answers STUN on one of the container's addresses."""
    return 0 if any(asyncio.run(_answers(address)) for address in _own_addresses()) else 1


def _own_addresses() -> list[str]:
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return sorted(found, key=lambda address: address.startswith("127."))


async def _answers(address: str) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            return await answers(Listener(Transport.UDP, address, STUN_PORT))
    except (OSError, TimeoutError, WireFormatError):
        return False


if __name__ == "__main__":
    sys.exit(main())
