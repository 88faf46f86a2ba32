"""The adapters that ship, and what is wrong with a program that a scenario or a command line names.

An adapter makes a program of the machine speak to the lab. Their files are in ``lab/adapters``; what they and
the lab say to each other is in :mod:`lab.spec.program_lines` and docs/external-programs.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lab.errors import Problem, did_you_mean
from lab.spec.node_options import NO_PROGRAM, OptionRule
from lab.spec.program import LAB_PROGRAM, Program
from lab.spec.roles import ENDPOINT
from lab.units import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A program that ships with what makes it speak to the lab.

    Attributes:
        meaning: what it is, in a few words.
        command: its command line; ``{python}`` is the lab's interpreter, ``{adapters}`` the directory of the
            adapters' files, ``{node_packages}`` that of the packages of npm.
        roles: the roles that it can play; ``host`` is a node on which nothing of the lab's runs.
        needs: programs of the machine, each with the package of Debian that has it.
        node_package: the package of npm that it is made of, if it is.
        version: a command that prints the version of the program under test.
        options: what may be said of it in a scenario.
        is_sip: it signals by SIP, not by session descriptions through the lab's rendezvous.
        signalling_only: its calls have no media, and so nothing for which a path is looked for.
    """

    meaning: str
    command: tuple[str, ...]
    roles: tuple[str, ...] = (ENDPOINT,)
    needs: Mapping[str, str] = field(default_factory=dict)
    node_package: str = ""
    version: tuple[str, ...] = ()
    options: Mapping[str, OptionRule] = field(default_factory=dict)
    is_sip: bool = False
    signalling_only: bool = False


_TRICKLE: Final = OptionRule("whether candidates are sent one by one (RFC 8838)", bool)

ADAPTERS: Final[Mapping[str, Adapter]] = {
    "plain-udp": Adapter(
        meaning="UDP between the hosts' own addresses, without STUN, TURN or ICE",
        command=("{python}", "-m", "lab.adapters.plain_udp"),
    ),
    "node-datachannel": Adapter(
        meaning="libdatachannel with libjuice's ICE: data channels, TURN over UDP",
        command=("node", "{adapters}/node_datachannel.mjs", "{node_packages}"),
        needs={"node": "nodejs"},
        node_package="node-datachannel",
        options={"trickle": _TRICKLE},
    ),
    "chromium": Adapter(
        meaning="a page of Chromium: audio and a data channel, TURN over UDP, TCP and TLS",
        command=("{python}", "-m", "lab.adapters.chromium"),
        needs={"chromium": "chromium", "certutil": "libnss3-tools"},
        version=("chromium", "--version"),
        options={
            "trickle": _TRICKLE,
            "audio": OptionRule("whether a microphone is part of a call", bool),
            "trust": OptionRule("whether it trusts the lab's certificate authority", bool),
            "flags": OptionRule("more of its command line, in the words of a shell"),
        },
    ),
    "baresip": Adapter(
        meaning="a SIP phone; it needs a node with role sip_proxy",
        command=("{python}", "-m", "lab.adapters.baresip"),
        needs={"baresip": "baresip-core"},
        version=("baresip", "-h"),
        is_sip=True,
        options={"media_nat": OptionRule("how its media passes NATs", choices=("ice", "turn", "none"))},
    ),
    "sipp": Adapter(
        meaning="SIPp, which makes and answers thousands of SIP calls",
        command=("{python}", "-m", "lab.adapters.sipp"),
        needs={"sipp": "sip-tester"},
        version=("sipp", "-v"),
        is_sip=True,
        signalling_only=True,
        options={
            "calls": OptionRule("how many it makes when it dials", int, least=1, most=10_000_000),
            "rate": OptionRule("how many it begins in a second", int, least=1, most=10_000),
            "hold": OptionRule("how long it holds each", parse=parse_duration),
            "through": OptionRule("whether calls go through the SIP proxy", choices=("direct", "proxy")),
            "caller_scenario": OptionRule(
                "a scenario of SIPp's to call by, in place of the lab's", is_file=True
            ),
            "callee_scenario": OptionRule(
                "a scenario of SIPp's to answer by, in place of the lab's", is_file=True
            ),
        },
    ),
}
"""Every adapter that ships, by name."""


def is_signalling_only(program: Program) -> bool:
    """Return whether the calls that a program makes have no media."""
    return program.adapter in ADAPTERS and ADAPTERS[program.adapter].signalling_only


def is_versioned(adapter: str) -> bool:
    """Return whether an adapter's program is one with versions of its own."""
    return bool(ADAPTERS[adapter].version or ADAPTERS[adapter].node_package)


def adapter_problem(name: str) -> Problem | None:
    """Return what is wrong with the name of an adapter, if anything is."""
    if name in ADAPTERS or name == LAB_PROGRAM:
        return None
    return Problem("", f"no adapter {name!r}", "", did_you_mean(name, [*ADAPTERS, LAB_PROGRAM]))


def with_files(program: Program, directory: str) -> Program:
    """Return a program whose options name files as they are found from a directory."""
    rules = ADAPTERS[program.adapter].options if program.adapter in ADAPTERS else {}
    options = {
        name: str(Path(directory, value)) if name in rules and rules[name].is_file and isinstance(value, str)
        else value
        for name, value in program.options.items()
    }  # fmt: skip
    return replace(program, options=options)


def option_problems(program: Program) -> list[tuple[str, Problem]]:
    """Return what is wrong with the options of an adapter, each with the option's name."""
    adapter = ADAPTERS.get(program.adapter)
    if adapter is None:
        return []
    problems = []
    for name, value in program.options.items():
        if (rule := adapter.options.get(name)) is None:
            known = did_you_mean(name, adapter.options) if adapter.options else "it has none"
            problems.append((name, Problem("", f"{program.adapter} has no option {name!r}", "", known)))
        elif (refused := rule.problem(value)) is not None:
            problems.append((name, Problem("", f"{name} is {value!r}", *refused)))
    return problems


def role_problem(program: Program, role: str) -> Problem | None:
    """Return why a program cannot play a role, if it cannot."""
    adapter = ADAPTERS.get(program.adapter)
    role = role or NO_PROGRAM
    if adapter is None or role in adapter.roles:
        return None
    return Problem("", f"{program.adapter} cannot be a node with role {role!r}", " or ".join(adapter.roles))
