"""The wires of one network, seen from the agent: started, changed, asked how late they were."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lab.emu.kernel_network import KernelNetwork
from lab.emu.links.wire import ChangeLink, Request, WireEnd, WireSetup
from lab.emu.messages import EVENT, LONGEST_LINE, encode_object
from lab.emu.programs.role_programs import Nursery
from lab.emu.settings import wire_devices
from lab.errors import HostNotReady, Problem, UsageError
from lab.spec.impairment import Impairment
from lab.spec.network import Network
from lab.spec.packet_drop import DropPackets
from lab.spec.seeds import derive_seed

_OUTPUT: Final = Path("/run/callpath-wires")

Report = Mapping[str, float]
"""A :class:`~lab.emu.timing.lateness.Lateness` as data."""


class WireControl:
    """Steers the process that is the wires of a network. Make one with :meth:`start`.

    Args:
        nursery: has started the process.
        end: has its exit status when it has ended.
        tell: called with each event line (bytes, with the newline), as the process wrote it.
    """

    def __init__(self, nursery: Nursery, end: asyncio.Future[int], tell: Callable[[bytes], None]) -> None:
        self._nursery = nursery
        self._end = end
        self._tell = tell
        self._writer: asyncio.StreamWriter
        self._listener: asyncio.Task[None]
        self._answer: asyncio.Future[bytes]
        self._lock = asyncio.Lock()

    @classmethod
    async def start(
        cls,
        nursery: Nursery,
        network: KernelNetwork,
        tell: Callable[[bytes], None],
        *,
        run_seed: int,
        trial: str,
        origin: float,
    ) -> WireControl | None:
        """Start the wires of a network, if it has any; they carry when this returns.

        Events are of ``trial``, whose clock was zero at ``origin`` (seconds of the monotonic clock).

        Raises:
            HostNotReady: they cannot be started, for example without a right to packet sockets.
        """
        if not network.wires:
            return None
        ours, theirs = socket.socketpair()
        with theirs:
            control = cls(nursery, _fork(nursery, theirs), tell)
        reader, control._writer = await asyncio.open_unix_connection(sock=ours, limit=LONGEST_LINE)
        control._answer = asyncio.get_running_loop().create_future()
        control._listener = asyncio.get_running_loop().create_task(control._listen(reader))
        namespace = f"/proc/{network.wires}/ns/net"
        setup = wire_setup(network.spec, namespace, run_seed=run_seed, trial=trial, origin=origin)
        await control._ask(encode_object(setup))
        return control

    async def change(self, link: str, impairments: Mapping[str, Impairment]) -> None:
        """Impair a link otherwise from now on; ``impairments`` are by sending node."""
        await self._request(ChangeLink(link=link, impairments=dict(impairments)))

    async def drop(self, drop: DropPackets) -> None:
        """Lose chosen packets from now on.

        Raises:
            UsageError: a packet that is named by its index has been sent already.
        """
        answer = await self._request(drop)
        if "refused" in answer:
            raise UsageError(Problem(f"link {drop.link}", str(answer["refused"])))

    async def report(self) -> Report:
        """Return what the wires have carried so far, and how late."""
        return await self._request(None)

    async def stop(self) -> None:
        """End the wires."""
        self._listener.cancel()
        self._writer.close()
        self._nursery.signal(self._end, signal.SIGKILL)
        await self._end

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Tell events, and hand over answers; an empty one when the wires have ended."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if line.startswith(EVENT):
                    self._tell(line)
                else:
                    self._answer.set_result(line)
        if not self._answer.done():
            self._answer.set_result(b"")

    async def _request(self, request: Request) -> Report:
        return await self._ask(encode_object(request))

    async def _ask(self, line: str) -> Report:
        async with self._lock:
            self._writer.write(line.encode() + b"\n")
            self._answer = asyncio.get_running_loop().create_future()
            answer = b"" if self._listener.done() else await self._answer
        if not answer:
            words = _OUTPUT.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise HostNotReady(f"the links' wires have ended: {words[-1] if words else 'without a word'}")
        report: Report = json.loads(answer)
        return report


def _fork(nursery: Nursery, control: socket.socket) -> asyncio.Future[int]:
    with _OUTPUT.open("wb") as output:
        return nursery.fork(control, output.fileno())


def wire_setup(
    network: Network, namespace: str, *, run_seed: int, trial: str, origin: float = 0.0
) -> WireSetup:
    """Return every direction of the impaired links, seeded as in virtual time."""
    ends = {}
    for label, devices in wire_devices(network).items():
        link = network.links[label]
        ways = ((link.a, link.forward, devices), (link.b, link.backward, devices[::-1]))
        for sender, impairment, (device, onto) in ways:
            name = f"{label} from {sender}"
            ends[label, sender] = WireEnd(
                device=device,
                onto=onto,
                impairment=impairment,
                seed=derive_seed(run_seed, trial, name, "impairment"),
                name=name,
            )
    return WireSetup(namespace=namespace, ends=ends, trial=trial, origin=origin)
