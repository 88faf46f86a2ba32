"""The `Lab` handle on a network of this kernel, and the run of one scenario on it."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lab.emu.captures.tap import Befell
from lab.emu.containers.door import make_door
from lab.emu.containers.places import image_nodes
from lab.emu.messages import AgentConnection, encode_network, encode_object
from lab.emu.nat_planes import AUTO, has_sip_gateways
from lab.emu.outer import OuterNamespace
from lab.emu.real_time_lab import RealTimeLab, how_it_ends
from lab.emu.run_clock import RunClockLoop, monotonic_now
from lab.emu.timing.stalls import why_stalled
from lab.emu.timing.starts import start_plan
from lab.errors import UsageError
from lab.handle import Lab
from lab.measure.trial_end import SCENARIO_DONE
from lab.roles.catalogue import require_sip_gateways
from lab.roles.refusal import refuse
from lab.spec.command import Dial, StartPlan, decode_command
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.impairment import Impairment
from lab.spec.impairment_options import describe_impairment
from lab.spec.network import Interface, Network
from lab.spec.packet_drop import DropPackets
from lab.spec.seeds import derive_seed

if TYPE_CHECKING:
    from lab.emu.containers.trial import TrialContainers

CAPTURE: Final = "capture"
"""The name of the output that says what is missing in a capture."""

T = TypeVar("T")

_TOLD_HERE: Final[ContextVar[list[asyncio.Future[Any]] | None]] = ContextVar("told here", default=None)
"""What the agent was asked for in an action whose end waits for it."""


@dataclass(frozen=True, kw_only=True)
class Emulated:
    """What a trial on the kernel gave: its events by time, and what each node's program printed."""

    events: list[Event]
    outputs: Mapping[str, str] = field(default_factory=dict)
    pcapng: bytes = b""
    """Its packets, where they were captured; what is missing there is said there, and in the outputs."""
    stalled: str = ""
    """Why it shows the machine and not the network; empty if it does not. Run again, it may."""


class EmuLab(RealTimeLab):
    """A handle on a network of the kernel. Make one with :func:`emulate`."""

    def __init__(
        self,
        network: Network,
        parameters: Mapping[str, object],
        *,
        run_seed: int,
        trial_key: str,
        outer: OuterNamespace,
        containers: TrialContainers | None = None,
    ) -> None:
        super().__init__(network, parameters, run_seed=run_seed, trial_key=trial_key)
        self._agent = AgentConnection(outer, self._record, self._role_ended)
        self._captures = False
        self._origin = 0.0
        self._containers = containers
        self._commanded: set[str] = set()
        self._gone: set[str] = set()
        self._dialled: dict[str, list[Dial]] = {}
        """By node, the calls that it was told to make and has not begun."""
        self._paused: set[str] = set()
        self._places: dict[str, list[str]] = {}
        self._links = {label: {o.a: o.forward, o.b: o.backward} for label, o in network.links.items()}
        """What packets meet on each link at present, by sender."""
        self._unreliable: set[str] = set()
        """Links that are cut, or were told to lose packets."""
        self._told: set[asyncio.Future[Any]] = set()
        self.fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with what the agent could not do of what was asked in passing."""

    # Beginning and end

    async def build(self, nat_plane: str, origin: float, *, capture: bool = False) -> None:
        """Build the network and start the programs of all hosts, which then are ready, or have ended.

        With ``capture`` the packets are kept from before the first program until :meth:`end`.

        Raises:
            UsageError: a box has a SIP gateway that the plane cannot have.
        """
        require_sip_gateways(self.network, on_kernel_plane=has_sip_gateways(nat_plane))
        self._origin = origin
        await self._agent.open()
        held = await self._containers.hold() if self._containers is not None else []
        await self._agent.ask(
            "build", network=encode_network(self.network), nat_plane=nat_plane, run_seed=self._run_seed,
            trial=self._trial_key, origin=origin, containers=held,
        )  # fmt: skip
        if capture:
            await self._agent.ask("capture", origin=origin)
            self._captures = True
        if self._containers is not None:
            pem = await self._agent.ask("authority")
            self._containers.authority = {name: text.encode() for name, text in pem.items()}
            await self._containers.start(held)
        seed = derive_seed(self._run_seed, self._trial_key)
        commanded = await self._agent.ask("start-roles", trial=self._trial_key, seed=seed, origin=origin)
        self._commanded = set(commanded)

    async def end(self, reason: str) -> Emulated:
        """Record the end, take the network down, and return what there was."""
        packets = await self._agent.ask("packets")
        for node, at, type_, data in await self._agent.ask("in-boxes"):
            self._record(Event(time=at - self._origin, type=EventType(type_), node=node, data=data))
        lateness = await self._agent.ask("lateness")
        stalled = why_stalled(lateness, self._events) if reason == SCENARIO_DONE else ""
        self.emit(
            EventType.TRIAL_ENDED, reason=stalled or reason, events=len(self._events), packets=packets,
            **_where(stalled, stalled=True),
        )  # fmt: skip
        end = self._events[-1]
        outputs = await self._agent.ask("outputs")
        happened = self._happened_until(end)
        pcapng = b""
        if self._captures:
            pcapng, complaint = await self._captured(happened, end.time)
            outputs |= {CAPTURE: f"{complaint}\n"} if complaint else {}
        await self._agent.ask("tear-down")
        return Emulated(events=happened, outputs=outputs, pcapng=pcapng, stalled=stalled)

    async def capture(self, nodes: Collection[str] = ()) -> bytes:
        """Return what these nodes, or all, saw until now as pcapng; empty if nothing is captured.

        What is missing is said in the file.
        """
        if not self._captures:
            return b""
        happened = sorted(self._events, key=lambda event: event.time)
        return (await self._captured(happened, self.now, nodes))[0]

    async def _captured(
        self, happened: Sequence[Event], now: float, nodes: Collection[str] = ()
    ) -> tuple[bytes, str]:
        """Return the capture until now, and what is missing in it."""
        befell = Befell(drops=_drops(happened), cuts=_cuts(happened, now), nodes=tuple(nodes))
        captured = await self._agent.ask("captured", befell=encode_object(befell))
        return base64.b64decode(captured["file"]), captured["complaint"]

    async def close(self) -> None:
        """Let go of the agent, and remove what is outside of its namespace."""
        await self._agent.close()
        if self._containers is not None:
            await self._containers.close()

    # Events

    def _record(self, event: Event) -> None:
        if event.type is EventType.CALL_STARTED:
            waiting = self._dialled.get(event.node, [])
            waiting[:] = [dial for dial in waiting if dial.call != event.call]
        super()._record(event)

    def _role_ended(self, node: str, role: str, why: str) -> None:
        self._gone.add(node)
        if (containers := self._containers_of(node)) is not None:
            self._go_on(containers.kill(node))
        if why:
            self.emit(EventType.ROLE_FAILED, node=node, error=why, program=role)
        self._refuse_unbegun(node)

    def _refuse_unbegun(self, node: str) -> None:
        """Record what became of calls that a program was told to make just before it ended."""
        for dial in self._dialled.pop(node, []):
            refuse(self.emit, node, dial)

    # What a world provides

    def _send(self, node: str, encoded: bytes) -> None:
        if node in self._gone:
            refuse(self.emit, node, decode_command(encoded))
        elif node in self._commanded:
            if isinstance(command := decode_command(encoded), Dial):
                self._dialled.setdefault(node, []).append(command)
            self._tell("command", node=node, encoded=encoded.decode())
        else:
            raise UsageError(f"{node} takes no commands")

    def _start_plan(self, caller: str, callee: str, *, exactly: bool) -> StartPlan | None:
        links = {
            label: way
            for label, way in self._links.items()
            if label not in self._unreliable and all(label in self._attached(end) for end in way)
        }
        return start_plan(self.network, links, caller, callee, exactly=exactly)

    def _set_link(self, label: str, forward: Impairment, backward: Impairment) -> None:
        link = self.network.links[label]
        self._links[label] = {link.a: forward, link.b: backward}
        self._tell("impair", link=label, impairments=encode_object(self._links[label]))
        settings = {link.a: describe_impairment(forward), link.b: describe_impairment(backward)}
        self.emit(EventType.LINK_CHANGED, link=label, settings={**settings})

    def _cut(self, label: str) -> None:
        self._unreliable.add(label)
        self._tell("cut", link=label, state=True)
        self.emit(EventType.LINK_CHANGED, link=label, settings="cut")

    def _heal(self, label: str) -> None:
        self._unreliable.discard(label)
        self._tell("cut", link=label, state=False)
        self.emit(EventType.LINK_CHANGED, link=label, settings="healed")

    def _drop(self, drop: DropPackets) -> None:
        self._unreliable.add(drop.link)
        self._tell("drop", drop=encode_object(drop))
        self.emit(EventType.LINK_CHANGED, link=drop.link, settings=str(drop))

    def _reboot_nat(self, name: str) -> None:
        self._forget(name, EventType.NAT_REBOOTED)

    def _flush_nat(self, name: str) -> None:
        self._forget(name, EventType.NAT_FLUSHED, do="flush")

    def _forget(self, name: str, type_: EventType, do: str = "reboot") -> None:
        def tell(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.emit(type_, node=name, mappings=done.result())

        self._tell(do, node=name).add_done_callback(tell)

    def _state(self, node: str) -> str:
        return "dead" if node in self._gone else "paused" if node in self._paused else "running"

    def _kill(self, node: str) -> None:
        self._tell_of_program(EventType.ROLE_KILLED, node)
        self._paused.discard(node)
        if node not in self._gone:
            self._gone.add(node)
            self._tell("signal", node=node, number=int(signal.SIGKILL))
            if (containers := self._containers_of(node)) is not None:
                self._go_on(containers.kill(node))
            self._refuse_unbegun(node)

    def _start(self, node: str) -> None:
        self._gone.discard(node)
        self._tell_of_program(EventType.ROLE_RESTARTED, node)
        if (containers := self._containers_of(node)) is not None:
            self._go_on(self._start_container(containers, node))
        else:
            self._tell("start-role", node=node)

    async def _start_container(self, containers: TrialContainers, node: str) -> None:
        await containers.start([node])
        await self._agent.ask("start-role", node=node)

    def _pause(self, node: str) -> None:
        self._tell_of_program(EventType.ROLE_PAUSED, node)
        self._paused.add(node)
        if (containers := self._containers_of(node)) is not None:
            self._go_on(containers.pause(node))
        else:
            self._tell("signal", node=node, number=int(signal.SIGSTOP))

    def _resume(self, node: str) -> None:
        self._tell_of_program(EventType.ROLE_RESUMED, node)
        self._paused.discard(node)
        if (containers := self._containers_of(node)) is not None:
            self._go_on(containers.resume(node))
        else:
            self._tell("signal", node=node, number=int(signal.SIGCONT))

    def _tell_of_program(self, type_: EventType, node: str) -> None:
        self.emit(type_, node=node, program=self.network.nodes[node].program_name)

    def _detach(self, node: str) -> None:
        there = [i for i in self.network.nodes[node].interfaces if i.link in self._attached(node)]
        links: list[JsonValue] = [interface.link for interface in there]
        addresses: list[JsonValue] = [*_plain_addresses(there)]
        self._places[node] = []
        self.emit(EventType.HOST_DETACHED, node=node, links=links, addresses=addresses)
        self._tell("detach", node=node)

    def _attach(self, node: str, label: str) -> None:
        self._places[node] = [label]
        there = [i for i in self.network.nodes[node].interfaces if i.link == label]
        self._tell("attach", node=node, link=label)
        self.emit(EventType.HOST_ATTACHED, node=node, link=label, addresses=[*_plain_addresses(there)])

    def _attached(self, node: str) -> list[str]:
        planned = [i.link for i in self.network.nodes[node].interfaces if i.attached]
        return self._places.get(node, planned)

    async def carry_out(self, action: Awaitable[T]) -> T:
        """Do something, and wait until the agent has done all that this asked for.

        Raises:
            CallpathError: what it could not do; unlike in a scenario, that does not end the lab.
        """
        told: list[asyncio.Future[Any]] = []
        _TOLD_HERE.set(told)
        result = await action
        for future in told:
            await future
        return result

    async def start_program(
        self,
        node: str,
        command: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        output: str,
    ) -> int:
        """Start a program of this machine on a node, its output added to a file; return its number.

        Raises:
            UsageError: there is no such program, or no such directory.
        """
        number: int = await self._agent.ask(
            "start-program", node=node, command=[*command], directory=directory,
            environment={**environment}, output=output,
        )  # fmt: skip
        return number

    async def program_end(self, number: int) -> int:
        """Wait until such a program has ended; return its exit status, negative for a signal's."""
        status: int = await self._agent.ask("wait-program", number=number)
        return status

    async def signal_program(self, number: int, signal_number: int) -> None:
        """Send a signal to such a program and to those that it has started."""
        await self._agent.ask("signal-program", number=number, signal_number=signal_number)

    async def outputs(self) -> Mapping[str, str]:
        """Return what each node's own program has printed until now."""
        outputs: Mapping[str, str] = await self._agent.ask("outputs")
        return outputs

    def _tell(self, do: str, **fields: Any) -> asyncio.Future[Any]:
        """Ask the agent for something, and go on; if it cannot, the trial ends with its words."""
        return self._go_on(self._agent.tell(do, **fields))

    def _go_on(self, step: Awaitable[Any]) -> asyncio.Future[Any]:
        """Let a step happen meanwhile; if it cannot, the trial ends with its words."""
        future = asyncio.ensure_future(step)
        if (told := _TOLD_HERE.get()) is not None:
            told.append(future)
            return future
        self._told.add(future)
        future.add_done_callback(self._answered)
        return future

    def _containers_of(self, node: str) -> TrialContainers | None:
        """Return what steers a node's container; None where it is in none."""
        containers = self._containers
        return containers if containers is not None and node in containers.nodes else None

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self._told.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None and not self.fault.done():
            self.fault.set_exception(error)
            self.fault.exception()  # after the scenario's end nobody waits for it


def _where(condition: object, **data: Any) -> dict[str, Any]:
    """Return what an event says besides, where there is something to say."""
    return data if condition else {}


def _drops(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.type is EventType.PACKET_DROPPED]


def _cuts(events: Iterable[Event], end: float) -> list[tuple[str, float, float]]:
    """Return the spans in which links were cut, as (link, from, to); a cut again changes nothing."""
    spans, since = [], dict[str, float]()
    for event in events:
        if event.type is EventType.LINK_CHANGED:
            link = str(event.data["link"])
            if event.data["settings"] == "cut":
                since.setdefault(link, event.time)
            elif event.data["settings"] == "healed" and link in since:
                spans.append((link, since.pop(link), event.time))
    return spans + [(link, begin, end) for link, begin in since.items()]


def _plain_addresses(interfaces: Iterable[Interface]) -> list[str]:
    """Return addresses without prefix lengths, IPv4 first."""
    plain = [address.partition("/")[0] for interface in interfaces for address in interface.addresses]
    return sorted(plain, key=lambda address: ":" in address)


def emulate(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
    nat_plane: str = AUTO,
    capture: bool = False,
    stalled_before: Sequence[str] = (),
) -> Emulated:
    """Run a scenario on this kernel, in real time, in an outer namespace of its own.

    Args:
        spec: the network.
        scenario: what to do on it.
        parameters: what the scenario may ask the handle for.
        run_seed: the run's seed; the programs' and the scenario's lots come from it.
        trial_key: the trial's key.
        deadline: seconds; a trial that runs on is invalid, as its last event says.
        nat_plane: what carries out the NAT boxes (:mod:`lab.emu.nat_planes`).
        capture: whether to keep its packets.
        stalled_before: why it was run before in vain, for its first event to tell.

    Raises:
        HostNotReady: this machine cannot build the network.
        UsageError: the kernel world cannot be what the network or the scenario asks for.
    """
    origin = monotonic_now()
    with (
        outer_namespace(spec) as (outer, containers),
        asyncio.Runner(loop_factory=lambda: RunClockLoop(origin)) as runner,
    ):
        return runner.run(
            _play(spec, scenario, parameters, run_seed=run_seed, trial_key=trial_key, deadline=deadline,
                  nat_plane=nat_plane, capture=capture, stalled_before=stalled_before, outer=outer,
                  containers=containers, origin=origin)
        )  # fmt: skip


@contextmanager
def outer_namespace(spec: Network) -> Iterator[tuple[OuterNamespace, TrialContainers | None]]:
    """Yield the namespace that the network is to be in, and what runs its containers, if it has any."""
    if not image_nodes(spec):
        with OuterNamespace("lab.emu.agent") as outer:
            yield outer, None
        return
    from lab.emu.containers.trial import TrialContainers  # noqa: PLC0415 - the SDK takes a while to import

    ours, theirs = make_door()
    number = theirs.fileno()
    with ours, theirs, OuterNamespace("lab.emu.agent", str(number), descriptors=[number]) as outer:
        yield outer, TrialContainers(spec, outer.run, ours)


async def _play(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
    nat_plane: str,
    capture: bool,
    stalled_before: Sequence[str],
    outer: OuterNamespace,
    containers: TrialContainers | None,
    origin: float,
) -> Emulated:
    lab = EmuLab(spec, parameters, run_seed=run_seed, trial_key=trial_key, outer=outer, containers=containers)
    before = _where(stalled_before, stalled_before=[*stalled_before])
    lab.emit(EventType.TRIAL_STARTED, topology=spec.name, **before)
    try:
        playing = _build_and_play(lab, scenario, nat_plane=nat_plane, capture=capture, origin=origin)
        return await lab.end(await how_it_ends(playing, deadline))
    finally:
        await lab.close()


async def _build_and_play(
    lab: EmuLab,
    scenario: Callable[[Lab], Awaitable[None]],
    *,
    nat_plane: str,
    capture: bool,
    origin: float,
) -> None:
    await lab.build(nat_plane, origin, capture=capture)
    await _first_of(scenario(lab), lab.fault)


async def _first_of(scenario: Awaitable[None], fault: asyncio.Future[None]) -> None:
    """Wait for the scenario, unless a fault comes first.

    Raises:
        CallpathError: what the agent could not do.
    """
    playing = asyncio.ensure_future(scenario)
    try:
        await asyncio.wait({playing, fault}, return_when=asyncio.FIRST_COMPLETED)
        if fault.done():
            fault.result()
        await playing
    finally:
        playing.cancel()
