"""The handle on a standing lab: a run that starts endpoints' programs in containers that are there already.

Nothing is built and nothing removed. Of every endpoint a program is started anew in its container for each
trial, by the engine's ``exec``; servers and NAT boxes are those that stand, and go on.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from lab.emu.containers.engine import Engine, told
from lab.emu.containers.stand_in import FRAME_HEADER, STANDARD_OUTPUT
from lab.emu.lab import Emulated
from lab.emu.messages import LONGEST_LINE, encode_network
from lab.emu.programs.role_process import READY, RoleSetup
from lab.emu.real_time_lab import RealTimeLab, how_it_ends
from lab.emu.run_clock import RunClockLoop, monotonic_now
from lab.emu.standing.compose import NODE, PART, STANDING
from lab.emu.standing.described import parameters_from
from lab.errors import HostNotReady, Problem, UsageError
from lab.handle import Lab
from lab.roles.refusal import refuse
from lab.spec.command import decode_command
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.impairment import Impairment
from lab.spec.network import Network
from lab.spec.roles import ENDPOINT
from lab.spec.seeds import derive_seed

READY_SECONDS: Final = 30.0
"""In which an endpoint's program has to be there; on an idle machine it takes one."""

_ROLE: Final = ("python3", "-m", "lab.emu.programs.role_stdio")
_LAST: Final = 1 << 16


def standing_containers(engine: Engine, topology: str) -> dict[str, dict[str, Any]]:
    """Return the program's container of each host of a standing lab, as the engine describes it.

    Raises:
        HostNotReady: no such lab stands, or more than one does.
    """
    wanted = [f"{STANDING}={topology}", f"{PART}=program"]
    with told("the containers of a standing lab"):
        found = engine.client.containers(filters={"label": wanted})
    if not found:
        raise HostNotReady(
            f"no standing lab of {topology} runs on the Docker engine at {engine.url}\n"
            f"  callpath compose {topology} > docker-compose.yml; docker-compose up -d"
        )
    containers: dict[str, dict[str, Any]] = {}
    for container in found:
        node = container["Labels"][NODE]
        if node in containers:
            raise HostNotReady(
                f"more than one standing lab of {topology} runs\n  docker-compose down one of them"
            )
        containers[node] = container
    return containers


def standing_parameters(engine: Engine, topology: str) -> dict[str, JsonValue]:
    """Return the parameters with which a standing lab of a topology was started.

    Raises:
        HostNotReady: no such lab stands.
    """
    for container in standing_containers(engine, topology).values():
        with told("the environment of a standing lab"):
            lines = engine.client.inspect_container(container["Id"])["Config"]["Env"]
        parameters = parameters_from(dict(line.split("=", 1) for line in lines), topology)
        if parameters:
            return parameters
    return {}


class _Program:
    """An endpoint's program in its container: lines to it, lines from it, and what else it prints."""

    def __init__(self, node: str, writer: asyncio.StreamWriter) -> None:
        self.node = node
        self.writer = writer
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.output = bytearray()
        self.listener: asyncio.Task[None] | None = None


class StandingLab(RealTimeLab):
    """A handle on a standing lab. Make one with :func:`attend`."""

    def __init__(
        self,
        network: Network,
        parameters: Mapping[str, object],
        engine: Engine,
        *,
        run_seed: int,
        trial_key: str,
    ) -> None:
        super().__init__(network, parameters, run_seed=run_seed, trial_key=trial_key)
        self._engine = engine
        self._programs: dict[str, _Program] = {}
        self._gone: set[str] = set()

    # Beginning and end

    async def start(self, origin: float) -> None:
        """Start the endpoints' programs; they are ready when this returns.

        Raises:
            HostNotReady: one does not begin to serve.
        """
        containers = await asyncio.to_thread(standing_containers, self._engine, self.network.name)
        nodes = [name for name in self.network.by_role.get(ENDPOINT, {}) if name in containers]
        await asyncio.gather(*(self._start_program(name, containers[name]["Id"], origin) for name in nodes))

    async def _start_program(self, node: str, container: str, origin: float) -> None:
        handle = await asyncio.to_thread(self._engine.execute, container, _ROLE)
        stream_ = socket.socket(fileno=handle)
        reader, writer = await asyncio.open_unix_connection(sock=stream_, limit=LONGEST_LINE)
        program = self._programs[node] = _Program(node, writer)
        seed = derive_seed(self._run_seed, self._trial_key)
        setup = RoleSetup(
            node=node, namespace="", network=encode_network(self.network), trial=self._trial_key, seed=seed,
            origin=origin,
        )  # fmt: skip
        writer.write(setup.encode())
        program.listener = asyncio.get_running_loop().create_task(self._listen(program, reader))
        try:
            async with asyncio.timeout(READY_SECONDS):
                is_ready = await program.ready
        except TimeoutError:
            is_ready = False
        if not is_ready:
            words = program.output.decode(errors="replace").strip().splitlines()[-8:]
            said = "\n  ".join(["; it said last", *words]) if words else ""
            raise HostNotReady(
                f"{node}: the endpoint's program in its container does not begin to serve{said}"
            )

    async def _listen(self, program: _Program, reader: asyncio.StreamReader) -> None:
        """Take a program's frames apart: lines on its standard output, words on the other."""
        lines = bytearray()
        try:
            while True:
                header = await reader.readexactly(FRAME_HEADER)
                data = await reader.readexactly(int.from_bytes(header[4:]))
                if header[0] != STANDARD_OUTPUT:
                    program.output += data
                    del program.output[:-_LAST]
                    continue
                lines += data
                while (end := lines.find(b"\n")) >= 0:
                    self._take(program, bytes(lines[: end + 1]))
                    del lines[: end + 1]
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        if not program.ready.done():
            program.ready.set_result(False)
        self._gone.add(program.node)

    def _take(self, program: _Program, line: bytes) -> None:
        if line.startswith(READY):
            if not program.ready.done():
                program.ready.set_result(bool(json.loads(line)["ready"]))
        else:
            self._record(Event.from_json(line.decode())[1])

    def end(self, reason: str) -> Emulated:
        """Record the end, and return what there was."""
        self.emit(EventType.TRIAL_ENDED, reason=reason, events=len(self._events), packets=0)
        outputs = {node: bytes(p.output).decode(errors="replace") for node, p in self._programs.items()}
        return Emulated(events=self._happened_until(self._events[-1]), outputs=outputs)

    async def close(self) -> None:
        """End the programs that were started."""
        for program in self._programs.values():
            program.writer.close()
            if program.listener is not None:
                program.listener.cancel()
        listeners = [p.listener for p in self._programs.values() if p.listener is not None]
        if listeners:
            await asyncio.wait(listeners)

    # What a world provides

    def _send(self, node: str, encoded: bytes) -> None:
        if node in self._gone or node not in self._programs:
            refuse(self.emit, node, decode_command(encoded))
        else:
            self._programs[node].writer.write(encoded + b"\n")

    def _set_link(self, label: str, forward: Impairment, backward: Impairment) -> None:
        raise self._stands(f"link {label}")

    def _cut(self, label: str) -> None:
        raise self._stands(f"link {label}")

    def _heal(self, label: str) -> None:
        raise self._stands(f"link {label}")

    def _reboot_nat(self, name: str) -> None:
        raise self._stands(f"NAT box {name}")

    def _stands(self, what: str) -> UsageError:
        found = "a standing lab is as it was started"
        suggestion = "set it by a variable of its environment, or run the scenario with --world emu"
        return UsageError(Problem(what, found, suggestion=suggestion))


def attend(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
) -> Emulated:
    """Run a scenario on the standing lab of its topology.

    Args:
        spec: the network, as the lab was started.
        scenario: what to do on it.
        parameters: what the scenario may ask the handle for.
        run_seed: the run's seed.
        trial_key: the trial's key.
        deadline: seconds; a trial that runs on is invalid, as its last event says.

    Raises:
        HostNotReady: no such lab stands, or an endpoint of it does not serve.
        UsageError: the scenario asks for what a standing lab cannot be.
    """
    origin = monotonic_now()
    with Engine() as engine, asyncio.Runner(loop_factory=lambda: RunClockLoop(origin)) as runner:
        return runner.run(
            _play(spec, scenario, parameters, engine, run_seed=run_seed, trial_key=trial_key,
            deadline=deadline,
                  origin=origin)
        )  # fmt: skip


async def _play(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    engine: Engine,
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
    origin: float,
) -> Emulated:
    lab = StandingLab(spec, parameters, engine, run_seed=run_seed, trial_key=trial_key)
    lab.emit(EventType.TRIAL_STARTED, topology=spec.name)
    try:
        return lab.end(await how_it_ends(_start_and_play(lab, scenario, origin), deadline))
    finally:
        await lab.close()


async def _start_and_play(
    lab: StandingLab, scenario: Callable[[Lab], Awaitable[None]], origin: float
) -> None:
    await lab.start(origin)
    await scenario(lab)
