"""The server: knows each phone by where its last hello came from, and rings it there.

``python -m my_client.server --ring-after 3`` rings every phone that often after its first hello.
"""

import argparse
import asyncio

from my_client.client import PORT


class Doorbell(asyncio.DatagramProtocol):
    """Phones by name, with their addresses."""

    def __init__(self, ring_after: float = 0.0) -> None:
        self.phones: dict[str, tuple[str, int]] = {}
        self.ring_after = ring_after

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("0.0.0.0", PORT))
        print("ready", flush=True)
        await loop.create_future()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        word, _, name = data.decode().partition(" ")
        if word != "hello":
            return
        if self.ring_after and name not in self.phones:
            asyncio.get_running_loop().call_later(self.ring_after, self.transport.sendto, b"ring", addr)
        self.phones[name] = addr
        self.transport.sendto(b"welcome", addr)

    async def ring(self, name: str) -> None:
        """Ring a phone where it was last."""
        self.transport.sendto(b"ring", self.phones[name])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ring-after", type=float, default=0.0)
    asyncio.run(Doorbell(parser.parse_args().ring_after).run())
