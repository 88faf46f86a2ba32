"""Addresses: a prefix for every segment, a number for everybody on it. Same topology, same addresses.

Public segments take the documentation prefixes, then the benchmarking range; homes 192.168.N.0/24 in order;
what lies between a carrier-grade NAT and its customers the shared address space. Whatever leads out of a
segment is .1, everybody else counts from .10, so the first host of every home is .10 there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import chain, combinations, pairwise
from typing import Final, TypeVar

from lab.errors import Problem, UsageError
from lab.spec.graph import Device
from lab.spec.network import NodeKind
from lab.spec.realm import Layout, Port, RealmKind, Segment

_DOCUMENTATION: Final = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")  # RFC 5737
_POOLS: Final[Mapping[RealmKind, tuple[str, ...]]] = {
    RealmKind.PUBLIC: (*_DOCUMENTATION, "198.18.0.0/15"),  # RFC 2544 appendix C
    RealmKind.PRIVATE: ("192.168.0.0/16", "10.0.0.0/8"),  # RFC 1918
    RealmKind.SHARED: ("100.64.0.0/10",),  # RFC 6598
}
_IPV6_POOL: Final = IPv6Network("2001:db8::/32")  # RFC 3849
FIRST_HOST: Final = 10


_Prefix = TypeVar("_Prefix", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPlan:
    """Prefixes by segment key, and addresses (text, no prefix length) by port; IPv4 and IPv6 apart."""

    prefixes: Mapping[str, IPv4Network]
    prefixes6: Mapping[str, IPv6Network]
    addresses: Mapping[Port, tuple[str, ...]]
    addresses6: Mapping[Port, tuple[str, ...]]


def assign_addresses(layout: Layout) -> AddressPlan:
    """Return the addresses of a layout.

    Raises:
        UsageError: overlapping prefixes where they would be confused, a prefix too small, more segments than
            a pool has prefixes.
    """
    problems = [*_overlaps(layout), *_same_on_both_sides(layout)]
    prefixes = _assign_ipv4(layout, problems)
    prefixes6 = _assign_ipv6(layout)
    addresses: dict[Port, tuple[str, ...]] = {}
    addresses6: dict[Port, tuple[str, ...]] = {}
    for segment in layout.segments:
        for family, prefix in (
            (addresses, prefixes.get(segment.key)),
            (addresses6, prefixes6.get(segment.key)),
        ):
            if prefix is not None:
                family.update(_number(layout, segment, prefix, problems))
    if problems:
        raise UsageError(*problems)
    return AddressPlan(prefixes=prefixes, prefixes6=prefixes6, addresses=addresses, addresses6=addresses6)


# Prefixes


def _assign_ipv4(layout: Layout, problems: list[Problem]) -> dict[str, IPv4Network]:
    """Return each segment's IPv4 prefix; what the author gave to one, no other gets unasked."""
    taken = {segment.wish.subnet for segment in layout.segments if segment.wish.subnet is not None}
    pools = {kind: _prefixes_of(kind, taken) for kind in RealmKind}
    kinds = {segment.key: realm.kind for realm in layout.realms for segment in realm.segments}
    prefixes: dict[str, IPv4Network] = {}
    for segment in layout.segments:
        kind = kinds[segment.key]
        prefix = segment.wish.subnet or next(pools[kind], None)
        if prefix is None:
            found = f"no {kind.value} IPv4 prefix is left for segment {segment.name!r}"
            problems.append(Problem(segment.where, found, suggestion='give some segments a subnet="..."'))
            break
        prefixes[segment.key] = prefix
    return prefixes


def _prefixes_of(kind: RealmKind, taken: Collection[IPv4Network]) -> Iterator[IPv4Network]:
    """Yield the /24s of a pool in order, without those that overlap a prefix in ``taken``."""
    pools = [IPv4Network(pool) for pool in _POOLS[kind]]
    candidates = chain.from_iterable(
        [pool] if pool.prefixlen == 24 else pool.subnets(new_prefix=24) for pool in pools
    )
    if kind is RealmKind.PRIVATE:
        next(candidates)  # homes are numbered from 192.168.1.0/24
    return (prefix for prefix in candidates if not any(prefix.overlaps(other) for other in taken))


def _assign_ipv6(layout: Layout) -> dict[str, IPv6Network]:
    taken = [segment.wish.subnet6 for segment in layout.segments if segment.wish.subnet6 is not None]
    sites = _IPV6_POOL.subnets(new_prefix=48)
    next(sites)  # segments are numbered from 2001:db8:1::/64
    candidates = (IPv6Network((site.network_address, 64)) for site in sites)
    free = (prefix for prefix in candidates if not any(prefix.overlaps(other) for other in taken))
    return {s.key: s.wish.subnet6 or next(free) for s in layout.segments if s.wish.ipv6}


def _overlaps(layout: Layout) -> Iterator[Problem]:
    """Yield prefixes that overlap within one realm; for IPv6 the whole network is one."""
    for realm in layout.realms:
        yield from _overlapping([(s, s.wish.subnet) for s in realm.segments if s.wish.subnet])
    yield from _overlapping([(s, s.wish.subnet6) for s in layout.segments if s.wish.subnet6])


def _overlapping(given: Sequence[tuple[Segment, _Prefix]]) -> Iterator[Problem]:
    ordered = sorted((prefix for _, prefix in given), key=lambda p: (int(p.network_address), p.prefixlen))
    # Prefixes nest or are apart: where any two overlap, one of them overlaps its successor, too.
    if not any(one.overlaps(other) for one, other in pairwise(ordered)):
        return
    for (one, first), (other, second) in combinations(given, 2):
        if first.overlaps(second):
            found = f"segments {one.name!r} and {other.name!r} overlap: {first} and {second}"
            yield Problem(other.where, found, "different prefixes where no NAT lies between")


def _same_on_both_sides(layout: Layout) -> Iterator[Problem]:
    """Yield devices that would have one prefix on two links in different realms: they could not route."""
    realm_of = {label: realm for realm in layout.realms for s in realm.segments for label in s.cables}
    for device in layout.graph.devices.values():
        given = [(label, layout.segment_of[label].wish.subnet) for label in device.cables]
        if device.kind is NodeKind.SWITCH or len({id(realm_of[label]) for label, _ in given}) < 2:
            continue
        for (one, first), (other, second) in combinations(given, 2):
            if realm_of[one] is not realm_of[other] and first and second and first.overlaps(second):
                found = f"node {device.name!r} has {first} on {one!r} and {second} on {other!r}"
                yield Problem(device.where, found, "different prefixes on the two sides of a node")


# Numbers on a segment


def _number(
    layout: Layout, segment: Segment, prefix: IPv4Network | IPv6Network, problems: list[Problem]
) -> dict[Port, tuple[str, ...]]:
    """Return everybody's addresses on a segment; if the prefix is too small, report it and return none."""
    gateways = layout.gateways[segment.key]
    others = [port for port in segment.ports if port not in gateways]
    wanted = len(gateways) + sum(_count(layout.graph.devices[port.device], port) for port in others)
    first, last = _host_numbers(prefix)
    room = last - first + 1
    if wanted > room:
        found = (
            f"segment {segment.name!r}: {prefix} has room for {max(room, 0)} addresses, {wanted} are needed"
        )
        problems.append(Problem(segment.where, found, suggestion="give it a shorter prefix length"))
        return {}
    numbered: dict[Port, tuple[str, ...]] = {}
    number = first
    for port in gateways:
        numbered[port] = (_address(prefix, number),)
        number += 1
    number = max(number, FIRST_HOST) if FIRST_HOST + wanted <= last else number
    for port in others:
        count = _count(layout.graph.devices[port.device], port)
        numbered[port] = tuple(_address(prefix, n) for n in range(number, number + count))
        number += count
    return numbered


def _count(device: Device, port: Port) -> int:
    """Return how many addresses a device has on a port: its number on the uplink, or first link; else 1."""
    return device.addresses if port.cable == (device.uplink or device.cables[0]) else 1


def _host_numbers(prefix: IPv4Network | IPv6Network) -> tuple[int, int]:
    """Return the first and last number of a host; a two-address prefix has both (RFC 3021, RFC 6164)."""
    if prefix.num_addresses <= 2:
        return 0, prefix.num_addresses - 1
    return 1, prefix.num_addresses - 2


def _address(prefix: IPv4Network | IPv6Network, number: int) -> str:
    """Return an address as text; an IPv6 one reads like the IPv4 one beside it: ``::10`` is number 10."""
    if prefix.version == 6 and prefix.prefixlen <= 112:
        number = int(str(number), 16)
    return str(prefix[number])
