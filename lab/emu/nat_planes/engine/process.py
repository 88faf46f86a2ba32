"""The parent's side of a box in userspace: start its process, tell it to forget, end it."""

from __future__ import annotations

import base64
import json
import pickle
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final, Self

from lab.emu.nat_planes.settings import write_settings
from lab.emu.nat_planes.wiring import BoxWiring
from lab.emu.system_calls import inside_network
from lab.errors import HostNotReady
from nat_models.model import NatModel

_PATIENCE: Final = 20.0
"""Seconds that the process may take to start or to answer; it takes a fraction of one."""

SETTINGS: Final = {
    # The kernel is to see nothing: what it forwarded or answered would pass by the engine.
    "ipv4/ip_forward": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What a box says of itself.

    Mappings held, packets that went no further by reason, and how late packets were
    (:class:`~lab.emu.timing.lateness.Lateness` as data).
    """

    mappings: int
    drops: dict[str, int]
    lateness: dict[str, float]


class EngineBox:
    """A box that the engine is, in a process of its own. It ends with :meth:`stop` or with its parent.

    Args:
        namespace: The file of the box's network namespace.
        model: What it does.
        wiring: Its devices, with addresses and routes; the devices are up and have no addresses.
        seed: Seeds the engine's random ports.
    """

    def __init__(self, namespace: str, model: NatModel, wiring: BoxWiring, *, seed: int = 0) -> None:
        self.namespace = namespace
        self._configuration = (model, wiring, seed)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self) -> Self:
        """Start the process and wait until it serves.

        Raises:
            HostNotReady: it could not open the devices.
        """
        ours, theirs = socket.socketpair()
        with inside_network(self.namespace), theirs:
            write_settings(SETTINGS)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab.emu.nat_planes.engine", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        ours.settimeout(_PATIENCE)
        self._channel = ours
        self._ask(start=base64.b64encode(pickle.dumps(self._configuration)).decode())
        return self

    def reboot(self) -> None:
        """Forget every mapping.

        Raises:
            HostNotReady: the process has ended.
        """
        self._ask(reboot=True)

    def flush(self) -> None:
        """Forget every mapping, and nothing else.

        Raises:
            HostNotReady: the process has ended.
        """
        self._ask(flush=True)

    def status(self) -> EngineStatus:
        """Return what the box says of itself.

        Raises:
            HostNotReady: the process has ended.
        """
        answer = self._ask(status=True)
        return EngineStatus(**answer)

    def lateness(self) -> dict[str, float]:
        """Return how late it has carried packets (:class:`~lab.emu.timing.lateness.Lateness` as data).

        Raises:
            HostNotReady: the process has ended.
        """
        return self.status().lateness

    def happened(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what happened since this was asked last: seconds of the monotonic clock, event type, data.

        Raises:
            HostNotReady: the process has ended.
        """
        return [(at, type_, data) for at, type_, data in self._ask(happened=True)["happened"]]

    def stop(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _ask(self, **command: object) -> dict[str, Any]:
        if self._channel is None:
            raise HostNotReady("the engine of this NAT box does not run")
        received = b""
        try:
            self._channel.sendall(json.dumps(command).encode() + b"\n")
            while not received.endswith(b"\n"):
                data = self._channel.recv(65536)
                if not data:
                    raise HostNotReady("the engine of a NAT box has ended; its reason is on standard error")
                received += data
        except OSError as error:
            raise HostNotReady(f"the engine of a NAT box does not answer: {error}") from None
        answer: dict[str, Any] = json.loads(received)
        if "failed" in answer:
            raise HostNotReady(f"the engine of a NAT box: {answer['failed']}")
        return answer
