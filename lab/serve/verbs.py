"""What each request does: to the server's labs, by the same blocking handle that tests use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import lab
from lab.errors import Problem, UsageError, did_you_mean
from lab.live import LabSpec, LiveLab, open_lab
from lab.live.entering import way_into
from lab.serve import requests as ask
from lab.serve.answers import Result, call_result
from lab.spec.impairment_options import describe_impairment
from lab.spec.network import Network
from lab.spec.program_words import programs_of_plans
from lab.spec.roles import addresses_of

PROTOCOL: Final = 1
"""Raised when a client that was right becomes wrong."""

MOST_OUTPUT: Final = 1 << 18
"""Characters of a program's output in one answer: the last."""


class Labs:
    """The labs of one server, by name. Requests come from several threads."""

    def __init__(self, *, is_single: bool = False) -> None:
        self.is_single = is_single
        """Whether the server is there for one lab, and ends with it."""
        self._labs: dict[str, LiveLab] = {}
        self._lock = threading.Lock()

    def add(self, spec: LabSpec, name: str = "") -> tuple[str, LiveLab]:
        """Open a lab; return its name, numbered where that of its topology is taken.

        Raises:
            UsageError: there is a lab of that name, or it cannot be built.
            HostNotReady: this machine cannot run the kernel world.
        """
        if name and name in self._labs:
            raise UsageError(Problem("open: lab", f"there is a lab {name!r} already", "another name"))
        opened = open_lab(spec)
        with self._lock:
            base = name or Path(spec.topology).name.partition(".")[0].partition(":")[0]
            candidates = [base, *(f"{base}-{number}" for number in range(2, len(self._labs) + 3))]
            name = next(candidate for candidate in candidates if candidate not in self._labs)
            self._labs[name] = opened
        return name, opened

    def get(self, name: str) -> tuple[str, LiveLab]:
        """Return the lab of a name; the only one, where the name is empty.

        Raises:
            UsageError: there is none of that name, or none at all, or several and no name.
        """
        labs = dict(self._labs)
        if not name and len(labs) == 1:
            return next(iter(labs.items()))
        if name in labs:
            return name, labs[name]
        found = f"no lab {name!r}" if name else f"{len(labs) or 'no'} labs are open"
        if not labs:
            raise UsageError(Problem("lab", found, '{"do": "open", "topology": "two_homes"} opens one'))
        raise UsageError(Problem("lab", found, "" if name else "the name of one", did_you_mean(name, labs)))

    def names(self) -> list[str]:
        """Return the names of the labs, in the order in which they were opened."""
        return [*self._labs]

    def close(self, name: str) -> None:
        """End a lab."""
        name, closing = self.get(name)
        self._labs.pop(name, None)
        closing.close()

    def close_all(self) -> None:
        """End every lab."""
        for name in self.names():
            self.close(name)


def carry_out(labs: Labs, request: ask.AnyRequest) -> Result:
    """Do what a request asks for; return its answer's result.

    Raises:
        CallpathError: it cannot be done, and why.
    """
    if isinstance(request, ask.Hello | ask.Labs):
        return {
            "callpath": lab.__version__,
            "protocol": PROTOCOL,
            "single": labs.is_single,
            "labs": [_summary(name, labs.get(name)[1]) for name in labs.names()],
        }
    if isinstance(request, ask.Open):
        return _open(labs, request)
    if isinstance(request, ask.Close):
        labs.close(request.lab)
        return {}
    name, found = labs.get(getattr(request, "lab", ""))
    return _VERBS[request.do](found, request) | {"lab": name}


def _summary(name: str, live: LiveLab) -> dict[str, Any]:
    return {
        "lab": name,
        "topology": live.network.name,
        "parameters": dict(live.parameters),
        "world": live.spec.world,
        "seed": live.spec.seed,
    }


def _open(labs: Labs, request: ask.Open) -> Result:
    spec = LabSpec(
        topology=request.topology,
        parameters=request.parameters,
        world=request.world,
        seed=request.seed,
        nat_plane=request.nat_plane,
        relay=request.relay,
        programs=programs_of_plans(request.programs, directory=str(Path.cwd()), where="open: programs"),
    )
    name, opened = labs.add(spec, request.lab or "")
    return {**_summary(name, opened), **described(opened.network)}


def described(network: Network) -> dict[str, Any]:
    """Return the nodes and links of a network as an answer tells them."""
    nodes = [
        {
            "name": node.name,
            "kind": node.kind.value,
            "role": node.role,
            "program": node.program.name if node.program is not None else None,
            "addresses": addresses_of(node),
            "nat": node.nat.name if node.nat is not None else None,
        }
        for node in network.nodes.values()
    ]
    links = [
        {
            "label": link.label,
            "ends": [link.a, link.b],
            "forward": describe_impairment(link.forward),
            "backward": describe_impairment(link.backward),
        }
        for link in network.links.values()
    ]
    return {"nodes": nodes, "links": links}


# Of a lab


def _describe(live: LiveLab, _request: ask.Describe) -> dict[str, Any]:
    return {**described(live.network), "world": live.spec.world, "now": live.now, "events": len(live.events)}


def _call(live: LiveLab, request: ask.Call) -> dict[str, Any]:
    record = live.call(
        request.caller, request.callee, name=request.name, start_offset=request.start_offset,
        policy=request.policy, media=request.media, hold=request.hold, timeout=request.timeout,
    )  # fmt: skip
    return {**call_result(record)}


def _send(live: LiveLab, request: ask.Send) -> dict[str, Any]:
    return {**call_result(live.send_media(request.call, request.media))}


def _link(live: LiveLab, request: ask.OfLink) -> dict[str, Any]:
    {"cut": live.cut, "heal": live.heal, "reset": live.reset}[request.do](request.link)
    return {}


def _node(live: LiveLab, request: ask.OfNode) -> dict[str, Any]:
    getattr(live, request.do)(request.node)  # the verbs are the handle's methods
    return {}


def _drop(live: LiveLab, request: ask.Drop) -> dict[str, Any]:
    live.drop(request.link, **{{"from": "sender"}.get(name, name): v for name, v in request.options.items()})
    return {}


def _start(live: LiveLab, request: ask.Start) -> dict[str, Any]:
    live.host(request.node).start(
        request.command, directory=request.directory, environment=request.environment
    )
    return {"program": len(live.processes)}


def _run(live: LiveLab, request: ask.Run) -> dict[str, Any]:
    finished = live.host(request.node).run(
        request.command, timeout=request.timeout, check=False, directory=request.directory,
        environment=request.environment,
    )  # fmt: skip
    return {"exit_code": finished.exit_code, **_output(finished.output)}


def _program(live: LiveLab, request: ask.OfProgram) -> dict[str, Any]:
    process = _process(live, request.program)
    if request.do == "output":
        return {"is_running": process.is_running, **_output(process.output)}
    finished = process.wait(request.timeout)
    return {"exit_code": finished.exit_code, **_output(finished.output)}


def _signal(live: LiveLab, request: ask.Signal) -> dict[str, Any]:
    _process(live, request.program).signal(request.number)
    return {}


def _process(live: LiveLab, number: int) -> Any:
    if not 1 <= number <= len(live.processes):
        raise UsageError(Problem("program", f"no program {number} was started", "a number that start told"))
    return live.processes[number - 1]


def _output(text: str) -> dict[str, Any]:
    return {"output": text[-MOST_OUTPUT:], "is_whole": len(text) <= MOST_OUTPUT}


def _capture(live: LiveLab, request: ask.Capture) -> dict[str, Any]:
    unknown = [name for name in request.nodes if name not in live.network.nodes]
    if unknown:
        known = did_you_mean(unknown[0], live.network.nodes)
        raise UsageError(Problem("capture: nodes", f"no node {unknown[0]!r}", suggestion=known))
    content = live.capture(request.nodes)
    try:
        Path(request.file).write_bytes(content)
    except OSError as error:
        raise UsageError(Problem("capture: file", f"{request.file}: {error.strerror}")) from None
    return {"bytes": len(content)}


def _nothing(act: Callable[[LiveLab, Any], object]) -> Callable[[LiveLab, Any], dict[str, Any]]:
    """Return a verb whose answer is that it is done."""

    def verb(live: LiveLab, request: Any) -> dict[str, Any]:
        act(live, request)
        return {}

    return verb


_VERBS: Final[Mapping[str, Callable[[LiveLab, Any], dict[str, Any]]]] = {
    "describe": _describe,
    "call": _call,
    "record": lambda live, request: {**call_result(live.record(request.call))},
    "path": lambda live, request: {"path": live.path(request.call).value},
    "send_media": _send,
    "hang_up": _nothing(lambda live, request: live.hang_up(request.call)),
    "sleep": _nothing(lambda live, request: live.sleep(request.duration)),
    "impair": _nothing(lambda live, request: live.impair(request.link, **request.options)),
    "drop": _drop,
    **dict.fromkeys(("cut", "heal", "reset"), _link),
    **dict.fromkeys(("reboot_nat", "flush_nat", "kill", "restart", "pause", "resume"), _node),
    "move": _nothing(lambda live, request: live.move(request.endpoint, request.to, gap=request.gap)),
    "start": _start,
    "run": _run,
    **dict.fromkeys(("output", "wait"), _program),
    "signal": _signal,
    "capture": _capture,
    "enter": lambda live, request: {**way_into(live, request.node)},
}
