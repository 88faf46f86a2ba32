"""The lifetimes of a model as classes, and the rules that say which of them a packet gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nat_models.model import Lifetimes


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeClass:
    """One lifetime in seconds, and when a packet gives it.

    ``answered_only``: only where the remote answered since its permit was made, at least ``young`` seconds
    ago. ``port``: only towards this remote port. ``assured``: only on an established TCP connection. None of
    these: where no other class fits.
    """

    name: str
    seconds: float
    answered_only: bool = False
    young: float = 0.0
    port: int | None = None
    assured: bool = False


_ORDINARY: Final = "first"


def udp_classes(lifetimes: Lifetimes) -> tuple[LifetimeClass, ...]:
    """Return the classes of UDP, the one for all other cases last."""
    by_port = [
        LifetimeClass(name=f"port{port}", seconds=seconds, port=port)
        for port, seconds in sorted(lifetimes.udp_by_port)
    ]
    answered = LifetimeClass(
        name="answered", seconds=lifetimes.udp, answered_only=True, young=lifetimes.udp_stream_after
    )
    tells_apart = [answered] if lifetimes.unreplied != lifetimes.udp else []
    return (*by_port, *tells_apart, LifetimeClass(name=_ORDINARY, seconds=lifetimes.unreplied))


def tcp_classes(lifetimes: Lifetimes) -> tuple[LifetimeClass, ...]:
    """Return the classes of TCP: established, and opening or closing."""
    established = LifetimeClass(name="established", seconds=lifetimes.tcp_established, assured=True)
    return (established, LifetimeClass(name=_ORDINARY, seconds=lifetimes.tcp_transitory))


def choices(
    classes: tuple[LifetimeClass, ...], *, permit: str, remote_port: str, answered: str, young: str
) -> Iterator[tuple[str, LifetimeClass]]:
    """Yield (match, class) in the order in which they are to be tried; the last match is empty.

    Args:
        classes: The classes of a protocol.
        permit: The permit's key.
        remote_port: Where nft finds the remote port.
        answered: The set of permits whose remote answered; empty where a packet is itself the answer.
        young: The set of permits made a short time ago.
    """
    for lifetime in classes:
        if lifetime.port is not None:
            yield f"{remote_port} {lifetime.port}", lifetime
        elif lifetime.answered_only:
            matches = [f"{permit} @{answered}"] if answered else []
            matches += [f"{permit} != @{young}"] if lifetime.young else []
            yield " ".join(matches), lifetime
        elif lifetime.assured:
            yield "ct status assured", lifetime
        else:
            yield "", lifetime
