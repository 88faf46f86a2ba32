"""The phone. It says hello to the server now and then, and hears when it is rung.

``python -m my_client.client SERVER NAME`` on a real host; in virtual time a test runs :meth:`Phone.run`.
"""

import argparse
import asyncio

KEEPALIVE = 25.0
"""Seconds between two hellos. NAT boxes forget where they are from 30 s on."""

PORT = 5600


class Phone(asyncio.DatagramProtocol):
    """One phone: its name, and what it heard."""

    def __init__(self, name: str, keepalive: float = KEEPALIVE) -> None:
        self.name = name
        self.keepalive = keepalive
        self.rings = 0

    async def run(self, server: str) -> None:
        """Stay in touch until cancelled."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(server, PORT))
        while True:
            transport.sendto(f"hello {self.name}".encode())
            await asyncio.sleep(self.keepalive)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data == b"ring":
            self.rings += 1
            print("rung", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("name")
    parser.add_argument("--keepalive", type=float, default=KEEPALIVE)
    arguments = parser.parse_args()
    asyncio.run(Phone(arguments.name, arguments.keepalive).run(arguments.server))
