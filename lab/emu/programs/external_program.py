"""An external program as the program of a node: started, told what to do, heard, and its end noticed.

The role process that :mod:`lab.emu.programs.role_nursery` forks for the node starts it and stands between it
and the lab. It is a process group of its own in that process's session, and a signal to the node's program
meets the whole session. It says what it has to say by the lines of :mod:`lab.spec.program_lines`; offers and
answers go through the rendezvous, at which this process registers the node's name.

What a program says is not believed: a line that is none ends it, with one error. What it leaves out is told
in its place where it is known here: that a call began, how long it took to connect, that it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import lab
from lab.adapters import node_packages
from lab.emu.containers.places import AUTHORITY_PLACE, DIRECTORY_PLACE
from lab.emu.containers.server import stand_in_command
from lab.emu.programs.program_ends import ProgramEnded, ProgramNotReady, how_it_ended, with_last_lines
from lab.emu.system_calls import die_with_parent
from lab.errors import WireFormatError
from lab.protocols.signalling import Signal
from lab.roles.real_context import RealRoleContext
from lab.roles.registration import Registration
from lab.roles.servers import regions_of, rendezvous_of, stun_of, turn_of
from lab.spec.adapters import ADAPTERS, is_signalling_only
from lab.spec.command import Answer, Dial, HangUp, decode_command
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.network import Network, Node, NodeKind
from lab.spec.program import Program
from lab.spec.program_lines import (
    LONGEST_LINE,
    Neighbour,
    OutgoingSignal,
    Ready,
    Report,
    Server,
    Setup,
    parse_line_untrusted,
    setup_line,
    signal_line,
)
from lab.spec.roles import ENDPOINT, addresses_of, public_name
from lab.units import parse_port_range

HANG_UP_SECONDS: Final = 5.0
"""In which a program has to say that a call is over which it was told to end."""
MOST_UNREAD: Final = 1 << 20
"""Bytes that wait for a program to read them."""
CLOCK_TOLERANCE: Final = 0.1
"""Seconds by which a program's time may be ahead: a browser has no monotonic clock of the machine's."""

_FILES: Final = Path("/run/callpath-programs")
"""A directory a node; in the private /run."""
_LAST_WORDS_SECONDS: Final = 1.0


def command_of(program: Program) -> list[str]:
    """Return the command line of a program."""
    words = program.command or ADAPTERS[program.adapter].command
    places = {
        "{python}": sys.executable,
        "{adapters}": str(Path(lab.__file__).parent / "adapters"),
        "{node_packages}": str(node_packages.directory()),
    }
    return [_with_places(word, places) for word in words] if program.adapter else list(words)


def _with_places(word: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        word = word.replace(name, place)
    return word


def setup_of(node: Node, network: Network, context: RealRoleContext, directory: str) -> Setup:
    """Return what a program is told first; the trial's clock must be running."""
    assert node.program is not None
    ports = parse_port_range(node.options["udp_ports"]) if "udp_ports" in node.options else None
    return Setup(
        node=node.name,
        role=node.role,
        addresses=tuple(context.addresses),
        servers=tuple(_servers(node, network)) if node.role == ENDPOINT else (),
        ca_file=AUTHORITY_PLACE if node.program.image else os.environ.get("SSL_CERT_FILE", ""),
        rendezvous=rendezvous_of(node, network) if node.role == ENDPOINT else None,
        udp_ports=(ports.start, ports.stop - 1) if ports else None,
        seed=context.random("program").getrandbits(53),  # a number that JavaScript has, too
        origin=time.monotonic() - asyncio.get_running_loop().time(),
        directory=DIRECTORY_PLACE if node.program.image else directory,
        options=dict(node.program.options),
        nodes={
            other.name: Neighbour(
                role=other.role,
                addresses=tuple(addresses_of(other)),
                name=public_name(other.name) if public_name(other.name) in network.dns else "",
            )
            for other in network.nodes.values()
            if other.kind is NodeKind.HOST
        },
    )


def _servers(node: Node, network: Network) -> list[Server]:
    stun, turn = stun_of(node, network), turn_of(node, network)
    servers = [Server(kind="stun", transport="udp", host=stun[0], port=stun[1])] if stun else []
    for region in regions_of(node, network) or ([turn] if turn else []):
        for transport in ("udp", "tcp", "tls"):
            host, port = region.addresses[transport]
            servers.append(
                Server(
                    kind="turn", transport=transport, host=host, port=port, username=region.username,
                    password=region.password,
                )
            )  # fmt: skip
    return servers


class ExternalProgram:
    """The external program of a node, as a role: ``run()`` until cancelled.

    Args:
        node: its node; ``node.program`` says what to start.
        network: where it is.
        context: keeps its events.
        given: the descriptors of its container, where it is in one.
    """

    def __init__(
        self, node: Node, network: Network, context: RealRoleContext, given: Sequence[int] = ()
    ) -> None:
        assert node.program is not None, "or the role has a program of the lab's own"
        self.ready = asyncio.Event()
        self._node, self._network, self._context = node, network, context
        self._program = node.program
        self._given = given
        self._name = node.program.name
        self._is_ready = asyncio.Event()
        self._broken: WireFormatError | None = None
        self._process: asyncio.subprocess.Process
        self._waiting: list[bytes] = []
        self._calls = _Calls(context)
        rendezvous = rendezvous_of(node, network) if node.role == ENDPOINT else None
        self._registration = Registration(node.name, rendezvous, context, self._heard) if rendezvous else None

    async def run(self) -> None:
        """Start the program, wait until it is ready, then for its end.

        Raises:
            ProgramNotReady: it cannot be started, or does not say that it is ready.
            ProgramEnded: it was ready, and has come to its end, or broke the contract.
            OSError: the rendezvous cannot be reached, or does not acknowledge the registration.
        """
        await self._start()
        ended = asyncio.ensure_future(self._process.wait())
        listening = asyncio.ensure_future(self._listen())
        registering: asyncio.Future[Any] | None = None
        try:
            await self._until_ready(ended, listening)
            if self._registration is not None:
                registering = asyncio.ensure_future(self._registration.run())
                await _first_of(self._registration.ready.wait(), registering, ended, listening)
            self._open_for_commands()
            await _first_of(None, ended, listening, *([registering] if registering else []))
            if registering is not None and registering.done():
                registering.result()
            raise ProgramEnded(with_last_lines(await self._end(ended, listening)))
        finally:
            for task in filter(None, (registering, listening)):
                task.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # and what it has started
            await ended
            self._calls.end_all(f"the program {self._name} has ended")

    async def _start(self) -> None:
        directory = _FILES / self._node.name
        directory.mkdir(parents=True, exist_ok=True)
        words = stand_in_command(self._given) if self._given else command_of(self._program)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=self._program.directory or directory,
                env={**os.environ, "TMPDIR": str(directory)},
                limit=LONGEST_LINE,
                process_group=0,
                pass_fds=self._given,
                preexec_fn=die_with_parent,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ProgramNotReady(f"{self._node.name}: cannot start {words[0]!r}: {why}") from None
        self._write(setup_line(setup_of(self._node, self._network, self._context, str(directory))))

    async def _until_ready(self, ended: asyncio.Future[int], listening: asyncio.Future[None]) -> None:
        limit = self._program.ready_within
        try:
            async with asyncio.timeout(limit):
                await _first_of(self._is_ready.wait(), ended, listening)
        except TimeoutError:
            said = f"{self._node.name}: {self._name} has not said in {limit:g} s that it is ready"
            raise ProgramNotReady(with_last_lines(said)) from None
        if not self._is_ready.is_set() or self._broken is not None:
            said = await self._end(ended, listening)
            raise ProgramNotReady(with_last_lines(f"{self._node.name}: {said}"))

    async def _end(self, ended: asyncio.Future[int], listening: asyncio.Future[None]) -> str:
        """Return how the program came to its end; what it has said before is heard first."""
        if ended.done():
            await asyncio.wait({listening}, timeout=_LAST_WORDS_SECONDS)
        if self._broken is not None:
            return f"{self._name} breaks the contract: {self._broken}"
        if not ended.done():
            await asyncio.wait({ended}, timeout=_LAST_WORDS_SECONDS)
        if not ended.done():
            return f"{self._name} has closed its output"
        before = "" if self._is_ready.is_set() else " before it was ready"
        return how_it_ended(self._name, ended.result()) + before

    # To the program

    def handle(self, encoded: bytes) -> None:
        """Hand on one command, once the program is ready.

        Raises:
            UsageError: not a command.
        """
        command = decode_command(encoded)
        self._context.emit(EventType.COMMAND, call=command.call, command=command.command)
        match command:
            case Answer():
                self._calls.prepare(command.call)
            case Dial():
                self._calls.begin(
                    command.call, caller=self._node.name, callee=command.to,
                    signalling_only=is_signalling_only(self._program),
                )  # fmt: skip
            case HangUp():
                self._calls.expect_end(command.call)
        self._say(encoded.rstrip(b"\n") + b"\n")

    def _heard(self, heard: Signal) -> None:
        """Hand on what another end has sent."""
        if heard.kind == "offer":
            self._calls.begin(heard.call, caller=heard.sender, callee=self._node.name)
        if heard.kind == "unknown":
            self._calls.end(heard.call, f"{heard.sender} is not registered")
        elif heard.ice is not None:
            self._calls.end(heard.call, f"{heard.sender} speaks ICE alone, without a session description")
            return
        self._say(signal_line(heard.kind, heard.sender, heard.call, heard.sdp))

    def _say(self, line: bytes) -> None:
        if self.ready.is_set():
            self._write(line)
        else:
            self._waiting.append(line)

    def _open_for_commands(self) -> None:
        self.ready.set()
        for line in self._waiting:
            self._write(line)
        self._waiting.clear()

    def _write(self, line: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.transport.get_write_buffer_size() > MOST_UNREAD:
            self._broken = WireFormatError("it does not read its standard input")
            self._process.kill()
            return
        stdin.write(line)

    # From the program

    async def _listen(self) -> None:
        """Hear the program until its output ends, or breaks the contract."""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            with contextlib.suppress(ConnectionError):
                while line := await stdout.readline():
                    self._take(line)
        except ValueError:  # asyncio's, for a line that is longer
            self._broken = WireFormatError(f"a line of more than {LONGEST_LINE} bytes")
        except WireFormatError as error:
            hint = (
                "; standard output is for the contract alone, what else it has to say goes to standard error"
            )
            self._broken = WireFormatError(f"{error}{hint}")

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        match parse_line_untrusted(line):
            case Ready():
                self._is_ready.set()
            case OutgoingSignal() as outgoing:
                self._pass_on(outgoing)
            case Report() as report:
                self._record(report)

    def _pass_on(self, outgoing: OutgoingSignal) -> None:
        if self._registration is None:
            raise WireFormatError("a signal, but there is no rendezvous to pass it on")
        if not self._registration.ready.is_set():
            return  # lost on the way, as a message of a program of its own would be
        self._registration.send(
            Signal(
                kind=outgoing.kind, sender=self._node.name, to=outgoing.to, call=outgoing.call,
                sdp=outgoing.sdp,
            )
        )  # fmt: skip

    def _record(self, report: Report) -> None:
        now = asyncio.get_running_loop().time()
        if report.time is not None and report.time > now + CLOCK_TOLERANCE:
            raise WireFormatError(f"an event at {report.time:g} s, and it is {now:.3f} s")
        at = now if report.time is None else min(report.time, now)
        data: dict[str, JsonValue] = report.data
        if report.type is EventType.CALL_STARTED and not self._calls.is_new(report.call, at):
            return
        if report.type is EventType.CALL_ENDED and not self._calls.is_end(report.call):
            return
        if report.type is EventType.ICE_CONNECTED and data.get("seconds") is None:
            data = {**data, "seconds": round(self._calls.seconds_since(report.call, at), 9)}
        self._context.record(
            Event(
                time=at, type=report.type, node=self._node.name, call=report.call, count=report.count,
                data=data,
            )
        )  # fmt: skip


class _Calls:
    """The calls that a program is in: begun and ended once each, whoever says so first."""

    def __init__(self, context: RealRoleContext) -> None:
        self._context = context
        self._began: dict[str, float] = {}
        self._prepared: set[str] = set()
        self._over: set[str] = set()
        self._limits: dict[str, asyncio.TimerHandle] = {}

    def prepare(self, call: str) -> None:
        """Note a call that is to come."""
        self._prepared.add(call)

    def begin(self, call: str, *, caller: str, callee: str, signalling_only: bool = False) -> None:
        """Tell that a call began."""
        if self.is_new(call, asyncio.get_running_loop().time()):
            self._context.emit(
                EventType.CALL_STARTED, call=call, caller=caller, callee=callee,
                signalling_only=signalling_only,
            )  # fmt: skip

    def is_new(self, call: str, at: float) -> bool:
        """Return whether a call was not known, which now it is."""
        if call in self._began:
            return False
        self._began[call] = at
        return True

    def seconds_since(self, call: str, at: float) -> float:
        """Return how long ago a call began; 0 where that is not known."""
        return max(0.0, at - self._began.get(call, at))

    def expect_end(self, call: str) -> None:
        """Tell that a call has ended, unless the program says so in time."""
        if call not in self._over and call not in self._limits:
            why = f"hung up; the program has not said so in {HANG_UP_SECONDS:g} s"
            loop = asyncio.get_running_loop()
            self._limits[call] = loop.call_later(HANG_UP_SECONDS, self.end, call, why)

    def end(self, call: str, why: str) -> None:
        """Tell that a call has ended, if it has not before."""
        if self.is_end(call):
            self._context.emit(EventType.CALL_ENDED, call=call, reason=why)

    def end_all(self, why: str) -> None:
        """Tell that whatever call there was, or was to come, has ended."""
        for call in {**self._began, **dict.fromkeys(self._prepared)}:
            self.end(call, why)

    def is_end(self, call: str) -> bool:
        """Return whether a call has not ended before, which now it has."""
        if (limit := self._limits.pop(call, None)) is not None:
            limit.cancel()
        if call in self._over:
            return False
        self._over.add(call)
        return True


async def _first_of(step: Any, *others: asyncio.Future[Any]) -> None:
    """Wait for a step (None: for ever), unless one of the others is done before it."""
    waiting = [] if step is None else [asyncio.ensure_future(step)]
    try:
        await asyncio.wait({*waiting, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
