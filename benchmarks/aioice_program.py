"""A program that is no role of the lab: aioice alone, what a session costs without a call around it.

Both sides ask one STUN and TURN server, tell each other their candidates directly, check, send five
datagrams each way, and close.
"""

from __future__ import annotations

import asyncio

import aioice

from lab.roles.servers import PASSWORD, USERNAME

DATAGRAMS = 5
SERVER_PORT = 3478


class Side:
    """One of the two: ``told`` is what it tells the other."""

    def __init__(self, server, *, controlling):
        self._server = (server, SERVER_PORT)
        self._controlling = controlling
        self.told = asyncio.get_running_loop().create_future()

    async def run(self, other):
        """Connect to the other side; return the type of the local candidate selected, None without a path."""
        connection = aioice.Connection(
            ice_controlling=self._controlling,
            stun_server=self._server,
            turn_server=self._server,
            turn_username=USERNAME,
            turn_password=PASSWORD,
            use_ipv6=False,
        )
        await connection.gather_candidates()
        self.told.set_result(
            (connection.local_username, connection.local_password, connection.local_candidates)
        )
        connection.remote_username, connection.remote_password, candidates = await other.told
        for candidate in candidates:
            await connection.add_remote_candidate(candidate)
        await connection.add_remote_candidate(None)
        try:
            await connection.connect()
        except ConnectionError:
            return None
        await self._exchange(connection)
        selected = connection._nominated[1].local_candidate.type
        await connection.close()
        return selected

    async def _exchange(self, connection):
        for _ in range(DATAGRAMS):
            await connection.send(b"\x80 as media would begin")
            await asyncio.sleep(0.02)
        received = asyncio.ensure_future(self._receive(connection))
        await asyncio.wait({received}, timeout=1.0)  # one in a hundred is lost
        received.cancel()

    async def _receive(self, connection):
        for _ in range(DATAGRAMS):
            await connection.recv()
