"""Behaviour discovery from this machine's own sockets, against a server that is not the lab's.

What was found stays in the :class:`FieldProbe` at every moment, so that an interrupt loses nothing of it.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from lab.errors import HostNotReady, Problem, TrialInvalid, UsageError
from lab.protocols.behaviour_discovery import (
    DiscoveryPlan,
    Findings,
    LifetimeBounds,
    LifetimePlan,
    LifetimeProbe,
    LifetimeSearch,
)
from lab.roles.prober import Prober, ProberConfig
from lab.roles.real_context import RealRoleContext
from lab.spec.roles import STUN_PORT
from nat_models.model import Transparency
from nat_models.packet import TransportAddress, format_address

SETTLE: Final = 3.0
"""Seconds after which a flow is used once more: Linux believes after 2 s that it lasts."""
_LAST_PORT: Final = 65535


@dataclass(frozen=True, kw_only=True)
class FieldProbeOptions:
    """How to probe: seconds throughout. ``longest_lifetime`` None leaves lifetimes out.

    ``pace`` is the least time between two new requests: RFC 5780 §4 asks for no more than ten a second.
    """

    longest_lifetime: float | None = None
    resolution: float = 5.0
    settle: float = SETTLE
    pace: float = 0.1
    attempts: int = 3
    interval: float = 0.5


@dataclass(kw_only=True)
class FieldProbe:
    """One probe of the path from this machine to ``server``. ``tell`` hears in words how it goes on."""

    server: TransportAddress
    options: FieldProbeOptions = field(default_factory=FieldProbeOptions)
    tell: Callable[[str], None] = lambda _: None
    findings: Findings | None = None
    bounds: LifetimeBounds = field(default_factory=LifetimeBounds)

    async def run(self) -> None:
        """Probe; the results are in ``findings`` and ``bounds``, as far as it came.

        Raises:
            HostNotReady: this machine has no route to the server.
            DiscoveryIncomplete: the server stopped answering.
            TrialInvalid: no answer at all.
        """
        prober = self._prober()
        self.findings = await prober.probe()
        if not self.findings.reachable:
            raise TrialInvalid(no_answer(self.server))
        if self.options.longest_lifetime is not None:
            await self._search_lifetimes(prober, self.options.longest_lifetime)

    def _prober(self) -> Prober:
        config = ProberConfig(
            server=self.server,
            plan=DiscoveryPlan(own_server=False),
            attempts=self.options.attempts,
            interval=self.options.interval,
            pace=self.options.pace,
        )
        # Ports that are drawn anew each time: those of the last probe may still have state in the box.
        seed = random.SystemRandom().getrandbits(32)
        return Prober(config, RealRoleContext("this machine", [_local_address(self.server)], seed=seed))

    async def _search_lifetimes(self, prober: Prober, longest: float) -> None:
        assert self.findings is not None, "called when there are some"
        if why := why_no_lifetimes(self.findings):
            self.tell(f"lifetimes cannot be searched: {why}")
            return
        answered, unanswered = await asyncio.gather(
            self._search(prober, longest, answered=True), self._search(prober, longest, answered=False)
        )
        self.bounds = replace(self.bounds, answered=answered, unanswered=unanswered)
        if answered[0] and not math.isinf(answered[1]):
            self.tell(f"what refreshes a mapping: {1.2 * answered[1]:.0f} s more")
            plan = LifetimePlan(replied=answered[1], settle=self.options.settle)
            self.bounds = replace(self.bounds, refresh=await prober.probe_refresh(self.findings, plan))

    async def _search(self, prober: Prober, longest: float, *, answered: bool) -> tuple[float, float]:
        assert self.findings is not None, "called when there are some"
        search = LifetimeSearch(
            longest=longest,
            resolution=self.options.resolution,
            settle=self.options.settle,
            answered=answered,
            tell=self._heard,
        )
        return await prober.search_lifetime(self.findings, search)

    def _heard(self, probe: LifetimeProbe) -> None:
        """Keep what one idle time showed, and tell of it."""
        name = "answered" if probe.replied else "unanswered"
        before = self.bounds.answered if probe.replied else self.bounds.unanswered
        low, high = before or (0.0, math.inf)
        bounds = (max(low, probe.idle), high) if probe.alive else (low, min(high, probe.idle))
        if probe.replied:
            self.bounds = replace(self.bounds, answered=bounds)
        else:
            self.bounds = replace(self.bounds, unanswered=bounds)
        state = "alive" if probe.alive else "gone"
        self.tell(f"{name} mapping {state} after {probe.idle:.1f} s idle")


def why_no_lifetimes(findings: Findings) -> str:
    """Return why the lifetime of mappings cannot be searched there, empty if it can."""
    if findings.other is None:
        return "the server has no second address"
    if not findings.response_port:
        return "the server does not know RESPONSE-PORT"
    if findings.transparency.value is Transparency.NONE:
        return "nothing on the path keeps state"
    return ""


def no_answer(server: TransportAddress) -> str:
    """Return what to say where no request was answered."""
    return (
        f"no answer from {format_address(server)} by UDP: either UDP does not pass from here, or no STUN "
        "server is there\n  try another server, or the same one from another network; where UDP is blocked,"
        " the preset udp-blocked is what calls meet"
    )


def resolve_server(text: str) -> TransportAddress:
    """Return the endpoint that ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT`` means; IPv4 where there is a choice.

    Raises:
        UsageError: not of that form.
        HostNotReady: the name does not resolve.
    """
    host, port = _split(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise HostNotReady(
            f"{host} does not resolve: {words}\n  check the name and this machine's DNS, or give an address"
        ) from None
    by_family = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return str(by_family[0][4][0]), port


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        has_port, port = rest.startswith(":"), rest[1:]
        if not bracket or (rest and not has_port):
            raise _wrong(text)
    elif text.count(":") > 1:  # a bare IPv6 address
        host, has_port, port = text, False, ""
    else:
        host, colon, port = text.partition(":")
        has_port = bool(colon)
    if not has_port:
        port = str(STUN_PORT)
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) <= _LAST_PORT:
        raise _wrong(text)
    return host, int(port)


def _wrong(text: str) -> UsageError:
    expected = f"HOST, HOST:PORT or [IPv6]:PORT; without a port {STUN_PORT}"
    return UsageError(Problem("", f"{text!r} names no server", expected))


def _local_address(server: TransportAddress) -> str:
    """Return the address that this machine sends from to the server; nothing is sent.

    Raises:
        HostNotReady: no route.
    """
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(server)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise HostNotReady(
            f"no way from this machine to {format_address(server)}: {error.strerror}\n  check that it has an"
            " address and a route (ip route get)"
        ) from None
