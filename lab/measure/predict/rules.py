"""Which pairs of addresses two views can come to use: the rules of docs/paths.md, one function a rule.

A pair of addresses is usable when the packets of each side to the other's address leave by its own, when both
filters let them in, and when one side can learn what was not signalled. Nothing here sends a packet: every
rule is a condition on two views.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from lab.measure.predict.view import View


class Port(enum.Enum):
    """Which address of a side: the signalled one, or one that its boxes made towards the other side."""

    KNOWN = "known"
    FRESH = "fresh"


PortPair = tuple[Port, Port]


@dataclass(frozen=True, slots=True)
class Finding:
    """``blocked`` says why a pair of addresses is out of reach, empty if it is not.

    ``first`` names the side whose packets must arrive before the other has sent any, empty if the order is
    free.
    """

    blocked: str = ""
    first: str = ""


POSSIBLE = Finding()


def findings(x: View, y: View) -> Mapping[PortPair, Finding]:
    """Return what is to be said of each pair of addresses, (x's, y's)."""
    for side in (x, y):
        if side.silent:
            return dict.fromkeys(_PAIRS, Finding(side.silent))
    if x.known is None and y.known is None:
        return dict.fromkeys(_PAIRS, Finding(f"{x.unknown}; {y.unknown}: neither knows where to send"))
    if x.known is None:
        return _towards_unknown(x, y)
    if y.known is None:
        return {(mine, its): finding for (its, mine), finding in _towards_unknown(y, x).items()}
    return {
        (Port.KNOWN, Port.KNOWN): known_to_known(x, y),
        (Port.KNOWN, Port.FRESH): known_to_fresh(x, y),
        (Port.FRESH, Port.KNOWN): known_to_fresh(y, x),
        (Port.FRESH, Port.FRESH): fresh_to_fresh(x, y),
    }


def known_to_known(x: View, y: View) -> Finding:
    """Both signalled addresses carry the traffic."""
    if not x.moves and not y.moves:
        return POSSIBLE
    if x.moves and y.moves:
        return Finding(f"{x.moves}, and {y.moves}: no packet ever goes from known port to known port")
    fixed, mover = (x, y) if y.moves else (y, x)
    if mover.no_reply_reuse:
        return Finding(f"{mover.moves}, and {mover.no_reply_reuse}")
    if mover.existing_flow_first:
        if mover.deaf_before_flow:
            ask = f"{mover.deaf_before_flow}, and then answers by the flow it opened itself"
            return Finding(mover.deaf_to_known or ask)
        return Finding(first=fixed.name)
    return Finding(mover.deaf_to_known)


def known_to_fresh(x: View, y: View) -> Finding:
    """``y`` sends from a fresh port to the known address of ``x``, which lets it in and answers by it."""
    if not y.moves:
        return _known_to_seen_as_other(x) if x.separate_flows else _known_to_diverted(x, y)
    if x.deaf_to_fresh:
        return Finding(f"{y.moves}, which {x.name} cannot know, and {x.deaf_to_fresh}")
    if x.moves and x.no_reply_reuse:
        return Finding(f"{x.moves}, and {x.no_reply_reuse}")
    return POSSIBLE


def _known_to_seen_as_other(x: View) -> Finding:
    """``x`` has sent by a fresh port already: what then comes in on its known port is seen under another."""
    if x.no_reply_reuse:
        return Finding(f"{x.moves}, and {x.no_reply_reuse}")
    return Finding(x.deaf_to_known_as_other)


def _known_to_diverted(x: View, y: View) -> Finding:
    """``y`` has one port for all but a peer whose packet came too early and was taken by the box itself."""
    if not y.diverts or x.moves:
        return Finding(f"{y.name} has one port for all destinations")
    if x.deaf_to_fresh:
        return Finding(f"{y.name}'s port moves if {x.name} sends first, and {x.deaf_to_fresh}")
    return Finding(first=x.name)


def fresh_to_fresh(x: View, y: View) -> Finding:
    """Both send from ports nobody was told: one is learned on a known port, its answer tells the other."""
    for side, other in ((x, y), (y, x)):
        if not side.moves:
            return _fresh_to_fixed(other, side)
    if not x.no_reply_reuse and not y.no_reply_reuse:
        return Finding(f"{x.name} and {y.name} both answer by the known port that a packet came in on")
    if x.no_reply_reuse and y.no_reply_reuse:
        return _fresh_to_fresh_by_rule(x, y)
    table, reuser = (x, y) if x.no_reply_reuse else (y, x)
    if table.deaf_to_fresh:
        return Finding(f"{reuser.moves}, which {table.name} cannot know, and {table.deaf_to_fresh}")
    if reuser.fresh_deaf_to_fresh:
        return Finding(f"{table.moves}, and {reuser.fresh_deaf_to_fresh}")
    return _against_earlier_flow(table, reuser)


def _fresh_to_fixed(mover: View, fixed: View) -> Finding:
    """``fixed`` has one port, unless it is seen under another one, or a box takes an early packet for itself.

    What ``mover`` answers to where it sees ``fixed`` leaves its first box by the known port, and may still be
    given a fresh one by a box behind it.
    """
    if mover.separate_flows and mover.no_reply_reuse:
        blocked = mover.deaf_to_known_as_other or fixed.deaf_to_fresh
        return Finding(f"{fixed.name} has one port for all destinations") if blocked else POSSIBLE
    return _fresh_to_diverted(mover, fixed)


def _fresh_to_diverted(mover: View, fixed: View) -> Finding:
    if not fixed.diverts_heard or not mover.moves:
        return Finding(f"{fixed.name} has one port for all destinations")
    if mover.never_settles:
        return Finding(f"{mover.moves}, and {mover.no_reply_reuse}")
    if blocked := fixed.deaf_to_fresh or mover.fresh_deaf_to_fresh:
        return Finding(f"{fixed.name}'s port moves if {mover.name} sends first, and {blocked}")
    return Finding(first=mover.name)


def _fresh_to_fresh_by_rule(x: View, y: View) -> Finding:
    if x.never_settles and y.never_settles:
        return Finding(
            f"{x.moves}, and {y.moves}: each new port is answered by another new port, without end"
        )
    for side in (x, y):
        if side.fresh_deaf_to_fresh:
            return Finding(f"{side.fresh_deaf_to_fresh}, and the other side's port is a new one")
    if x.deaf_to_fresh and y.deaf_to_fresh:
        return Finding(f"{x.deaf_to_fresh}, and {y.deaf_to_fresh}: neither learns a port of the other")
    return POSSIBLE


def _against_earlier_flow(table: View, reuser: View) -> Finding:
    """The answer of ``reuser`` must not belong to a flow that an earlier packet of ``table`` already began.

    With a port a remote address, ``table`` sends to the known port of ``reuser`` from the very port it later
    sends to the fresh one from. If the known port lets it in first, the flow is bound to the known port for
    good.
    """
    answers_differ = table.per_remote_port or table.answers_apart
    if not reuser.existing_flow_first or reuser.separate_flows or answers_differ or reuser.deaf_to_fresh:
        return POSSIBLE
    if not table.deaf_to_strangers:
        return Finding(first=reuser.name)
    if reuser.deaf_before_flow:
        # What table sends too early opens its own filter and is lost before it binds anything.
        return Finding(first=table.name)
    return Finding(f"{table.name} must send first to open its filter, which binds {reuser.name}'s answers")


def _towards_unknown(x: View, y: View) -> Mapping[PortPair, Finding]:
    """``x`` has no address that could be signalled; it is met only if ``y`` lets strangers in."""
    nowhere = Finding(f"{x.unknown}: {x.name} has no known address")
    found = {(Port.KNOWN, Port.KNOWN): nowhere, (Port.KNOWN, Port.FRESH): nowhere}
    if y.deaf_to_strangers:
        deaf = Finding(f"{x.unknown}, and {y.deaf_to_strangers}")
        return found | {(Port.FRESH, Port.KNOWN): deaf, (Port.FRESH, Port.FRESH): deaf}
    answers_elsewhere = y.moves and y.no_reply_reuse
    found[Port.FRESH, Port.KNOWN] = (
        Finding(f"{y.moves}, and {y.no_reply_reuse}") if answers_elsewhere else POSSIBLE
    )
    found[Port.FRESH, Port.FRESH] = _answered_elsewhere(x, y) if answers_elsewhere else _no_fresh(y)
    return found


def not_introduced(x: View, y: View, x_outside: View, y_outside: View) -> str:
    """Return why two sides do not meet inside a network after their box turned a packet round.

    ``x`` and ``y`` are seen from within that network, ``x_outside`` and ``y_outside`` from outside its box.
    The packet must pass the box's filter from one side to the other's known port; then it comes, like the
    answer to it, from an address that the receiver has never sent to.
    """
    for side in (x, y):
        if side.silent or side.deaf_to_strangers:
            return side.silent or side.deaf_to_strangers
        if side.known is not None:
            return f"{side.name}'s address in the network they share is known"
    if x.never_settles and y.never_settles:
        return f"{x.moves}, and {y.moves}: each new port is answered by another new port, without end"
    refused = [
        there.deaf_to_fresh if here.moves else there.deaf_to_known
        for here, there in ((x_outside, y_outside), (y_outside, x_outside))
    ]
    return refused[0] if all(refused) else ""


def _no_fresh(y: View) -> Finding:
    if not y.moves:
        return Finding(f"{y.name} has one port for all destinations")
    return Finding(f"{y.name} answers by the known port that a packet came in on")


def _answered_elsewhere(x: View, y: View) -> Finding:
    if x.fresh_deaf_to_fresh:
        return Finding(f"{y.moves}, and {x.fresh_deaf_to_fresh}")
    if x.never_settles and y.never_settles:
        return _fresh_to_fresh_by_rule(x, y)
    return POSSIBLE


_PAIRS = tuple((mine, its) for mine in Port for its in Port)
