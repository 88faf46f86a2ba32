"""The capture of one network, seen from the agent: begun, and ended with its file."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
from pathlib import Path
from typing import Any, Final

from lab.emu.captures.tap import Befell, Taken, TapSetup
from lab.emu.kernel_network import KernelNetwork
from lab.emu.messages import LONGEST_LINE, encode_object
from lab.emu.programs.role_programs import Nursery
from lab.errors import HostNotReady

_FILE: Final = Path("/run/callpath-capture.pcapng")
_OUTPUT: Final = Path("/run/callpath-tap")


class TapControl:
    """Steers the process that captures. Make one with :meth:`start`."""

    def __init__(
        self,
        nursery: Nursery,
        end: asyncio.Future[int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._nursery = nursery
        self._end = end
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, nursery: Nursery, network: KernelNetwork, origin: float) -> TapControl:
        """Listen to every interface of a network; all are listened to when this returns.

        Raises:
            HostNotReady: that cannot be done, for example without a right to packet sockets.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            end = _fork(nursery, theirs)
        control = cls(nursery, end, *await asyncio.open_unix_connection(sock=ours, limit=LONGEST_LINE))
        devices = {
            (name, link): (node.namespace, device)
            for name, node in network.nodes.items()
            for link, device in node.devices.items()
        }
        setup = TapSetup(network=network.spec, devices=devices, origin=origin, file=str(_FILE))
        await control._ask(setup)
        return control

    async def until_now(self, befell: Befell) -> tuple[str, Taken]:
        """Return the file of what was captured until now (pcapng, in base 64) and what is in it; go on."""
        taken = Taken(**await self._ask(befell))
        return base64.b64encode(_FILE.read_bytes()).decode(), taken

    async def stop(self) -> None:
        """End the process and forget what it has kept."""
        self._writer.close()
        self._nursery.signal(self._end, signal.SIGKILL)
        await self._end
        _FILE.unlink(missing_ok=True)

    async def _ask(self, request: TapSetup | Befell) -> dict[str, Any]:
        self._writer.write(encode_object(request).encode() + b"\n")
        answer = await self._reader.readline()
        if not answer:
            words = _OUTPUT.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise HostNotReady(f"the capture has ended: {words[-1] if words else 'without a word'}")
        found: dict[str, Any] = json.loads(answer)
        return found


def _fork(nursery: Nursery, control: socket.socket) -> asyncio.Future[int]:
    with _OUTPUT.open("wb") as output:
        return nursery.fork(control, output.fileno())
