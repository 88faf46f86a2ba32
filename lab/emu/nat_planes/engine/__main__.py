"""The process of a box in userspace: ``python -m lab.emu.nat_planes.engine DESCRIPTOR``.

The descriptor is a stream socket on which commands come, a JSON object a line; each is answered by one. The
end of that stream ends the process: a box does not outlive its run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import random
import socket
import sys
import time
from typing import Any, Final

from lab.emu.nat_planes.engine.box import UserspaceBox
from lab.emu.nat_planes.engine.frames import Frame
from lab.emu.nat_planes.engine.sockets import DeviceSocket
from lab.emu.system_calls import go_first
from lab.emu.timing.lateness import Lateness

_AT_ONCE: Final = 64
"""Frames read from one device before the others have their turn."""


class Program:
    """Devices, the box between them, and one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._devices: dict[str, DeviceSocket] = {}
        self._box: UserspaceBox
        self._timer: asyncio.TimerHandle | None = None
        self._lateness = Lateness()

    def start(self, configuration: str) -> dict[str, Any]:
        """Open the devices; the configuration comes from the process that started this one."""
        model, wiring, seed = pickle.loads(base64.b64decode(configuration))  # noqa: S301 - of our parent
        for name in (*wiring.inside, wiring.outside):
            self._devices[name] = DeviceSocket(name)
        self._box = UserspaceBox(
            model,
            wiring,
            {name: device.hardware for name, device in self._devices.items()},
            random.Random(seed),
            {name: device.mtu for name, device in self._devices.items()},
        )
        for device in self._devices.values():
            self._loop.add_reader(device.fileno(), self._readable, device)
        return {}

    def reboot(self, _: object) -> dict[str, Any]:
        """Forget everything."""
        self._box.reboot(self._loop.time())
        return {}

    def flush(self, _: object) -> dict[str, Any]:
        """Forget the mappings."""
        self._box.flush(self._loop.time())
        return {}

    def status(self, _: object) -> dict[str, Any]:
        """Say how many mappings there are, what was dropped for which reason, and how late packets were."""
        return {
            "mappings": self._box.mappings,
            "drops": dict(self._box.drops),
            "lateness": self._lateness.as_data(),
        }

    def happened(self, _: object) -> dict[str, Any]:
        """Say what happened since this was asked last: time on the monotonic clock, type of event, data."""
        told = [[one.at, one.type.value, one.data] for one in self._box.happened]
        self._box.happened.clear()
        return {"happened": told}

    def _readable(self, device: DeviceSocket) -> None:
        for _ in range(_AT_ONCE):
            arrived = device.read()
            if arrived is None:
                break
            frame, offload, at = arrived
            self._send(self._box.receive(device.device, frame, self._loop.time(), offload))
            self._lateness.note(time.monotonic() - at)
        self._arm()

    def _send(self, frames: list[Frame]) -> None:
        for frame in frames:
            if not self._devices[frame.device].write(frame):
                self._box.drops["the next link's queue is full"] += 1

    def _arm(self) -> None:
        due = self._box.next_wake(self._loop.time())
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._send(self._box.wake(self._loop.time()))
        self._arm()


async def serve(descriptor: int) -> None:
    """Carry out commands until their stream ends."""
    go_first()
    program = Program(asyncio.get_running_loop())
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor))
    commands = {"start": program.start, "reboot": program.reboot, "flush": program.flush}
    commands |= {"status": program.status, "happened": program.happened}
    while line := await reader.readline():
        ((name, argument),) = json.loads(line).items()
        try:
            answer = commands[name](argument)
        except OSError as error:
            answer = {"failed": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
