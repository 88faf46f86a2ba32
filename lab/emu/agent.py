"""The agent: does a run's kernel work inside its outer namespace, as its parent asks.

``python -m lab.emu.agent [DOOR] FD``; requests and answers are those of :mod:`lab.emu.messages`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lab.emu.captures.tap_control import TapControl
from lab.emu.containers.door import NAMESPACE, PROGRAM, Door
from lab.emu.device_state import attach, cut_device, detach, heal_device, packets_sent
from lab.emu.kernel_network import KernelNetwork, KernelNode
from lab.emu.links.wire_control import WireControl
from lab.emu.messages import (
    LONGEST_LINE,
    Message,
    decode_message,
    decode_network,
    decode_object,
    describe_error,
    encode_message,
)
from lab.emu.nat_planes import BoxWiring, NatPlane, plane_for, start_box
from lab.emu.nat_planes.box import Box
from lab.emu.probing import probe_box
from lab.emu.programs.role_nursery import AUTHORITY_FILE, AUTHORITY_KEY_FILE
from lab.emu.programs.role_process import RoleSetup
from lab.emu.programs.role_programs import Nursery, RolePrograms
from lab.emu.programs.user_program import UserProgramSetup
from lab.emu.programs.user_programs import UserPrograms
from lab.emu.settings import wire_devices
from lab.emu.timing.lateness import Lateness
from lab.errors import UsageError
from lab.spec.impairment import PERFECT, Impairment
from lab.spec.network import Network, NodeKind, programs_of
from lab.spec.packet_drop import DropPackets
from lab.spec.roles import ENDPOINT
from lab.spec.seeds import derive_seed

_PAUSE: Final = 0.01
_CHANGES: Final = frozenset({"build", "impair", "drop", "capture", "tear-down"})


class Agent:
    """Carries out one request after another. At most one network runs at a time."""

    def __init__(self, writer: asyncio.StreamWriter, nursery: Nursery, door: Door) -> None:
        self._writer = writer
        self._nursery = nursery
        self._door = door
        self._containers: frozenset[str] = frozenset()
        self._wires: WireControl | None = None
        self._tap: TapControl | None = None
        self._running: KernelNetwork | None = None
        self._boxes: dict[str, Box] = {}
        self._description = ""
        self._mtus: dict[tuple[str, str], int] = {}
        self._trial: tuple[str, int, float] = "", 0, 0.0
        self._programs = RolePrograms(nursery, writer.write, self._tell_end)
        self._user_programs = UserPrograms(nursery)
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[str, Callable[..., Any]] = {
            "build": self.build,
            "run": self.run,
            "authority": self.authority,
            "start-roles": self.start_roles,
            "start-role": self.start_role,
            "signal": self.signal,
            "start-program": self.start_program,
            "wait-program": self._user_programs.wait,
            "signal-program": self._user_programs.signal,
            "detach": self.detach,
            "attach": self.attach,
            "command": self.command,
            "outputs": self.outputs,
            "cut": self.cut,
            "impair": self.impair,
            "drop": self.drop,
            "capture": self.capture,
            "captured": self.captured,
            "lateness": self.lateness,
            "in-boxes": self.in_boxes,
            "reboot": self.reboot,
            "flush": self.flush,
            "packets": self.packets,
            "probe": self.probe,
            "tear-down": self.tear_down,
        }

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Serve until the parent closes the socket.

        Requests begin in the order in which they come. Those that change the network hold up the next, so
        that what follows a change meets it; others that have to wait do not.
        """
        while line := await reader.readline():
            message = decode_message(line)
            number, holds_up = message.pop("id"), message["do"] in _CHANGES
            answer = self._answer(message)
            waiting = answer.get("answer")
            if asyncio.iscoroutine(waiting) and holds_up:
                await self._answer_later(number, waiting)
            elif asyncio.iscoroutine(waiting):
                task = asyncio.get_running_loop().create_task(self._answer_later(number, waiting))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._writer.write(encode_message({"id": number, **answer}))

    def _answer(self, message: Message) -> Message:
        try:
            operation = self._operations[message.pop("do")]
            return {"answer": operation(**message)}
        except Exception as error:  # noqa: BLE001 - it is the parent who is to know
            return describe_error(error)

    async def _answer_later(self, number: int, waiting: Coroutine[Any, Any, Any]) -> None:
        try:
            answer = {"answer": await waiting}
        except Exception as error:  # noqa: BLE001 - as above
            answer = describe_error(error)
        self._writer.write(encode_message({"id": number, **answer}))

    def _tell_end(self, node: str, role: str, why: str) -> None:
        self._writer.write(encode_message({"ended": node, "role": role, "why": why}))

    @property
    def network(self) -> KernelNetwork:
        """The network that runs.

        Raises:
            UsageError: none does.
        """
        if self._running is None:
            raise UsageError("no network was built")
        return self._running

    # Operations, by the name in a request

    async def build(
        self,
        network: str,
        nat_plane: str = "",
        run_seed: int = 0,
        trial: str = "",
        origin: float = 0.0,
        containers: Sequence[str] = (),
    ) -> dict[str, int]:
        """Build a network in place of the one before; return each node's process.

        The network namespaces of ``containers``, nodes, have been handed in.

        What its links do by chance is drawn from ``run_seed`` and ``trial``, as in virtual time, and told as
        events of the clock that was zero at ``origin``.

        Its boxes are carried out as ``nat_plane`` chooses (:func:`lab.emu.nat_planes.plane_for`); without one
        they route as routers do.
        """
        await self.tear_down()
        spec = decode_network(network)
        planes = _planes(spec, nat_plane) if nat_plane else {}
        namespaces = {name: self._door.take(NAMESPACE, name)[0] for name in containers}
        self._containers = frozenset(containers)
        try:
            self._running = KernelNetwork(
                spec,
                bare_boxes=[name for name, plane in planes.items() if plane is NatPlane.ENGINE],
                namespaces=namespaces,
            )
        finally:
            for handle in namespaces.values():
                os.close(handle)
        self._description = network
        self._mtus = {
            end: direction.mtu
            for link in self._running.spec.links.values()
            for end, direction in (
                ((link.a, link.label), link.forward),
                ((link.b, link.label), link.backward),
            )
        }
        self._wires = await WireControl.start(
            self._nursery, self._running, self._writer.write, run_seed=run_seed, trial=trial, origin=origin
        )
        self._boxes = {
            name: start_box(
                planes[name],
                node.spec.nat,
                BoxWiring.of_node(node.spec, dict(node.devices)),
                node.namespace,
                seed=derive_seed(run_seed, trial, name, "ports"),
                sip_helper=bool(node.spec.options.get("sip_alg")),
            )
            for name, node in self._running.nodes.items()
            if node.spec.nat is not None and name in planes
        }
        return {name: node.pid for name, node in self._running.nodes.items()}

    def run(self, node: str, command: list[str], given: str = "") -> str:
        """Run a program on a node until it ends; return what it printed."""
        if node not in self.network.nodes:
            raise UsageError(f"no node {node!r} has a namespace of its own")
        return self.network.nodes[node].run(*command, given=given)

    async def authority(self) -> dict[str, str]:
        """Return what the run's TLS servers are signed by: certificate and private key, as PEM."""
        # The nursery, another process, makes them when it begins.
        while not AUTHORITY_FILE.exists() or not AUTHORITY_FILE.stat().st_size:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_PAUSE)
        return {"certificate": AUTHORITY_FILE.read_text(), "key": AUTHORITY_KEY_FILE.read_text()}

    async def start_roles(self, trial: str, seed: int, origin: float) -> list[str]:
        """Start the programs of all hosts, servers first; return the nodes whose program takes commands."""
        self._trial = trial, seed, origin
        programs = {name: self.network.spec.nodes[name].role for name in programs_of(self.network.spec)}
        commanded = []
        for of_users in (False, True):
            starting = {
                name: self.start_role(name)
                for name, role in programs.items()
                if (role == ENDPOINT) == of_users
            }
            ready = await asyncio.gather(*starting.values())
            commanded += [n for n, state in zip(starting, ready, strict=True) if state == "takes commands"]
        return commanded

    async def start_role(self, node: str) -> str:
        """Start the program of a node; return when it is ready, or has ended, and which."""
        trial, seed, origin = self._trial
        here = self.network.nodes[node]
        setup = RoleSetup(
            node=node, namespace=here.namespace, network=self._description, trial=trial, seed=seed,
            origin=origin,
        )  # fmt: skip
        given = self._door.take(PROGRAM, node) if node in self._containers else []
        starting = self._programs.start(here.spec.program_name, setup, given)
        for handle in given:
            os.close(handle)
        return (await starting).value

    async def start_program(
        self, node: str, command: list[str], directory: str, environment: dict[str, str], output: str
    ) -> int:
        """Start a program of the user's on a node, its output added to a file; return its number."""
        setup = UserProgramSetup(
            node=node, namespace=self.network.nodes[node].namespace, network=self._description,
            command=tuple(command), directory=directory, environment=environment,
        )  # fmt: skip
        return await self._user_programs.start(setup, output)

    def signal(self, node: str, number: int) -> None:
        """Send a signal to a node's program."""
        self._programs.signal(node, number)

    def command(self, node: str, encoded: str) -> None:
        """Hand an encoded command to a node's program."""
        self._programs.command(node, encoded.encode())

    async def impair(self, link: str, impairments: str) -> None:
        """Impair a link otherwise; ``impairments`` are encoded, by sending node.

        Raises:
            UsageError: the link was built as a plain wire.
        """
        wanted: dict[str, Impairment] = decode_object(impairments)
        for node, impairment in wanted.items():
            if self._mtus.get((node, link), PERFECT.mtu) != impairment.mtu:
                self._set_mtu(node, link, impairment.mtu)
        if link in wire_devices(self.network.spec):
            assert self._wires is not None, "an impaired link has a wire"
            await self._wires.change(link, wanted)
        elif any(replace(impairment, mtu=PERFECT.mtu) != PERFECT for impairment in wanted.values()):
            raise plain_wire(link)

    async def drop(self, drop: str) -> None:
        """Lose chosen packets on an impaired link; ``drop`` is the encoded :class:`DropPackets`.

        Raises:
            UsageError: the link was built as a plain wire, or a packet named by its index was sent before.
        """
        wanted: DropPackets = decode_object(drop)
        if self._wires is None or wanted.link not in wire_devices(self.network.spec):
            raise plain_wire(wanted.link)
        await self._wires.drop(wanted)

    async def capture(self, origin: float) -> None:
        """Capture what every interface sends and gets, by the clock that was zero at ``origin``."""
        self._tap = await TapControl.start(self._nursery, self.network, origin)

    async def captured(self, befell: str) -> dict[str, str]:
        """Return the ``file`` of the capture until now in base 64, and what is missing in it, in words.

        ``befell`` is the encoded :class:`~lab.emu.captures.tap.Befell`.

        Raises:
            UsageError: nothing is captured.
        """
        if self._tap is None:
            raise UsageError("nothing is captured")
        file, taken = await self._tap.until_now(decode_object(befell))
        return {"file": file, "complaint": taken.complaint}

    async def lateness(self) -> Mapping[str, float]:
        """Return what impaired links and boxes in userspace have carried, and how late."""
        reports = [box.lateness() for box in self._boxes.values()]
        if self._wires is not None:
            reports.append(await self._wires.report())
        return Lateness.of_all(reports).as_data()

    def in_boxes(self) -> list[tuple[str, float, str, dict[str, Any]]]:
        """Return what happened in boxes that tell of it: which, when (monotonic clock), event type, data."""
        return [(name, *one) for name, box in self._boxes.items() for one in box.happened()]

    def cut(self, link: str, state: bool) -> None:
        """Let nothing through a link, or (``state`` false) let it through again."""
        for node in self._ends_of(link):
            (cut_device if state else heal_device)(node, node.devices[link])

    def _ends_of(self, link: str) -> list[KernelNode]:
        described = self.network.spec.links[link]
        return [self.network.everywhere[end] for end in (described.a, described.b)]

    def _set_mtu(self, node: str, link: str, size: int) -> None:
        end = self.network.everywhere[node]
        end.run("ip", "link", "set", "dev", end.devices[link], "mtu", str(size))
        self._mtus[node, link] = size

    def detach(self, node: str) -> None:
        """Take a host off every link."""
        detach(self.network.nodes[node])

    def attach(self, node: str, link: str) -> None:
        """Attach a host by one of its links."""
        attach(self.network.nodes[node], link)

    def flush(self, node: str) -> int:
        """Let a NAT box forget its mappings; return how many flows that were."""
        flows = int(self.network.nodes[node].run("conntrack", "-C"))
        self._boxes[node].flush()
        return flows

    def reboot(self, node: str) -> int:
        """Let a NAT box forget everything; return how many flows that were."""
        flows = int(self.network.nodes[node].run("conntrack", "-C"))
        self._boxes[node].reboot()
        return flows

    async def probe(self, external_addresses: int) -> dict[str, Any]:
        """Probe the box of a bench; return what was found, and what does not fit its model."""
        return await probe_box(self.network, external_addresses)

    def packets(self) -> int:
        """Return how many packets the hosts have sent."""
        hosts = (node for node in self.network.nodes.values() if node.spec.kind is NodeKind.HOST)
        return sum(packets_sent(node) for node in hosts)

    def outputs(self) -> dict[str, str]:
        """Return what each node's program has printed."""
        return self._programs.outputs()

    async def tear_down(self) -> None:
        """End the network and its programs, if there is one."""
        await self._user_programs.stop()
        await self._programs.stop()
        if self._tap is not None:
            await self._tap.stop()
            self._tap = None
        if self._wires is not None:
            await self._wires.stop()
            self._wires = None
        while self._boxes:
            self._boxes.popitem()[1].stop()
        if self._running is not None:
            self._running.close()
            self._running = None


def _planes(spec: Network, nat_plane: str) -> dict[str, NatPlane]:
    """Return what carries out each box."""
    return {
        name: plane_for(
            nat_plane,
            node.nat,
            external_addresses=len(node.external_addresses),
            sip_gateway=bool(node.options.get("sip_alg")),
        )
        for name, node in spec.nodes.items()
        if node.nat is not None
    }


def plain_wire(link: str) -> UsageError:
    """Return what is said of a link that has no wire, where one is needed."""
    return UsageError(
        f"link {link} was built as a plain wire: nothing can be put into it while it runs\n"
        '  give it an impairment in the topology, if only impair={"delay": "1us"}'
    )


async def _serve(channel: socket.socket, nursery: Nursery, door: Door) -> None:
    nursery.listen()
    reader, writer = await asyncio.open_unix_connection(sock=channel, limit=LONGEST_LINE)
    await Agent(writer, nursery, door).serve(reader)


def main(*numbers: int) -> None:
    """Serve the parent, at the other end of the last socket; it ends this process by ending the namespace.

    A socket before that is the door by which descriptors come in.
    """
    for number in numbers:
        os.set_inheritable(number, False)  # noqa: FBT003 - the standard library's
    *doors, channel = (socket.socket(fileno=number) for number in numbers)
    door = Door(doors[0] if doors else socket.socketpair()[0])
    asyncio.run(_serve(channel, Nursery(), door))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
