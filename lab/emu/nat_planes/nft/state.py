"""What a rule set remembers of one protocol: mappings and filter entries, as sets whose elements age.

A mapping is an element of ``used`` (its external endpoint E). ``m2e`` leads from what the mapping rule looks
at to E, ``rev`` from E to the internal endpoint I, ``own`` says whose E is, and ``flt`` holds the permits:
the filter entries of RFC 4787 §5. A box that does not translate has E = I, and ``used`` and ``flt`` alone.

An element's lifetime belongs to its set, because updating an element with a shorter time would shorten its
life. So there is one family of sets for each lifetime that the model knows, and state is alive if it is in
any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lab.emu.nat_planes.nft.lifetimes import LifetimeClass
from lab.emu.nat_planes.nft.text import State
from nat_models.model import Filtering, FilterScope, Mapping

_PORT: Final = "inet_service"


@dataclass(frozen=True, slots=True)
class Flow:
    """Where nft finds the endpoints of a packet's flow; ``external`` and ``internal`` are address . port."""

    external: str
    internal: str
    remote_address: str
    remote_port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolState:
    """The sets of one protocol (``udp``, ``tcp``) of one address family (``ip``, ``ip6``)."""

    protocol: str
    family: str
    mapping: Mapping
    filtering: Filtering
    scope: FilterScope
    classes: tuple[LifetimeClass, ...]
    translates: bool
    counts_known: bool = False
    """Whether endpoints that have had a mapping are remembered (port-preserving symmetric)."""
    address_slots: Sequence[str] = ()
    """External addresses whose taken ports are kept by port alone, for port preservation."""

    @property
    def admits_all(self) -> bool:
        """Whether whoever knows the external endpoint may send to it."""
        return self.filtering is Filtering.ENDPOINT_INDEPENDENT

    @property
    def permit_set(self) -> str:
        """The family of sets that permits are in: where all are admitted, a mapping is its own permit."""
        return "used" if self.admits_all else "flt"

    @property
    def prefix(self) -> str:
        """What every rule begins with: nft needs the protocol to know what a port is."""
        return f"meta l4proto {self.protocol}"

    @property
    def tracks_answers(self) -> bool:
        """Whether a lifetime depends on having seen an answer."""
        return any(c.answered_only for c in self.classes)

    def named(self, what: str, lifetime: LifetimeClass | None = None) -> str:
        """Return the name of a set: ``udp_used``, or of its family ``udp_used_120s``."""
        suffix = f"_{lifetime.name}" if lifetime is not None and len(self.classes) > 1 else ""
        return f"{self.protocol}_{what}{suffix}"

    def all_named(self, what: str) -> list[str]:
        """Return the names of a whole family of sets."""
        return [self.named(what, lifetime) for lifetime in self.classes]

    def mapping_key(self, flow: Flow) -> str:
        """Return what the mapping rule looks at (RFC 4787 §4.1)."""
        parts = [flow.internal]
        if self.mapping is not Mapping.ENDPOINT_INDEPENDENT:
            parts.append(flow.remote_address)
        if self.mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT:
            parts.append(flow.remote_port)
        return " . ".join(parts)

    def permit_key(self, flow: Flow) -> str:
        """Return what stands for a remote among the permits (RFC 4787 §5)."""
        if self.admits_all:
            return flow.external
        parts = [flow.internal if self.scope is FilterScope.PER_ENDPOINT else flow.external]
        parts.append(flow.remote_address)
        if self.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT:
            parts.append(flow.remote_port)
        return " . ".join(parts)

    def absent(self, what: str, key: str) -> str:
        """Return matches that hold where the key is in none of a family of sets."""
        return " ".join(f"{key} != @{name}" for name in self.all_named(what))

    def present(self, what: str, key: str) -> Iterator[str]:
        """Yield matches of which one holds where the key is in a family of sets."""
        return (f"{key} @{name}" for name in self.all_named(what))

    def declarations(self) -> Iterator[State]:
        """Yield every set."""
        address = "ipv4_addr" if self.family == "ip" else "ipv6_addr"
        endpoint = f"{address} . {_PORT}"
        shape = Flow(endpoint, endpoint, address, _PORT)
        for lifetime in self.classes:
            seconds = lifetime.seconds
            yield State(name=self.named("used", lifetime), key=endpoint, seconds=seconds)
            if not self.admits_all:
                yield State(name=self.named("flt", lifetime), key=self.permit_key(shape), seconds=seconds)
            if self.translates:
                key = self.mapping_key(shape)
                yield State(name=self.named("m2e", lifetime), key=key, value=endpoint, seconds=seconds)
                yield State(name=self.named("rev", lifetime), key=endpoint, value=endpoint, seconds=seconds)
                yield State(name=self.named("own", lifetime), key=f"{endpoint} . {key}", seconds=seconds)
                for slot in range(len(self.address_slots)):
                    yield State(name=self.named(f"taken{slot}", lifetime), key=_PORT, seconds=seconds)
            if self.counts_known:
                yield State(name=self.named("known", lifetime), key=endpoint, seconds=seconds)
        if self.tracks_answers:
            longest = max(c.seconds for c in self.classes)
            yield State(name=self.named("answered"), key=self.permit_key(shape), seconds=longest)
            young = max(c.young for c in self.classes)
            if young:
                yield State(name=self.named("young"), key=self.permit_key(shape), seconds=young)

    def updates(self, flow: Flow, lifetime: LifetimeClass, *, operation: str = "update") -> Iterator[str]:
        """Yield the rules that put a packet's mapping and permit into the sets of a lifetime."""

        def put(what: str, element: str) -> str:
            return f"{self.prefix} {operation} @{self.named(what, lifetime)} {{ {element} }}"

        yield put("used", flow.external)
        if not self.admits_all:
            yield put("flt", self.permit_key(flow))
        if self.translates:
            key = self.mapping_key(flow)
            yield put("m2e", f"{key} : {flow.external}")
            yield put("rev", f"{flow.external} : {flow.internal}")
            yield put("own", f"{flow.external} . {key}")
            address, port = flow.external.split(" . ")
            for slot, external in enumerate(self.address_slots):
                name = self.named(f"taken{slot}", lifetime)
                yield f"{self.prefix} {address} {external} {operation} @{name} {{ {port} }}"
        if self.counts_known:
            yield put("known", flow.internal)
