"""Which programs can call each other, by how they signal; what cannot be is said before it is tried.

===========  ==========================================================================================
ICE alone    the lab's own endpoint: candidates and credentials, no session description, no DTLS
SDP          WebRTC stacks: offers and answers by the rendezvous, DTLS between the ends
SIP          phones and loads: by a SIP proxy, or straight to each other
anything     a command or an image of the user's, as far as the lab knows; but it never hears ICE alone
===========  ==========================================================================================
"""

from __future__ import annotations

import enum

from lab.errors import Problem
from lab.spec.adapters import ADAPTERS
from lab.spec.network import Network, Node


class Signalling(enum.Enum):
    """How a program signals."""

    ICE = "ICE alone, without a session description and without DTLS"
    SDP = "session descriptions"
    SIP = "SIP"
    ANY = "what its author has made it speak"


def signalling_of(node: Node) -> Signalling:
    """Return how the program of an endpoint signals."""
    program = node.program
    if program is None or program.is_the_labs or program.runs_roles:
        return Signalling.ICE
    if program.adapter:
        return Signalling.SIP if ADAPTERS[program.adapter].is_sip else Signalling.SDP
    return Signalling.ANY


def call_problem(network: Network, caller: str, callee: str) -> Problem | None:
    """Return why two endpoints cannot call each other, if they cannot."""
    ends = [network.nodes[name] for name in (caller, callee)]
    kinds = {signalling_of(node) for node in ends}
    if len(kinds) == 1 or (Signalling.ANY in kinds and Signalling.ICE not in kinds):
        return None
    said = " and ".join(f"{node.name} ({_program(node)}) speaks {signalling_of(node).value}" for node in ends)
    return Problem(
        f"{caller} calls {callee}", said, "two that speak alike",
        f"--program {caller}=lab --program {callee}=lab has the lab's own at both",
    )  # fmt: skip


def _program(node: Node) -> str:
    is_own = signalling_of(node) is Signalling.ICE
    return "the lab's own endpoint" if is_own else node.program_name
