"""Reads a Mininet ``Topo`` into a checked graph, and finds everything wrong with what its author wrote."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.graph import AddressWish, Cable, Device, Graph, check_connected
from lab.spec.impairment import PERFECT, Impairment
from lab.spec.impairment_options import parse_impairment
from lab.spec.nat_names import load_nat
from lab.spec.network import NodeKind
from lab.spec.node_options import (
    LINK_OPTIONS,
    NODE_OPTIONS,
    ROLES,
    SEGMENT_OPTIONS,
    SWITCH_OPTIONS,
    OptionRule,
    RoleRule,
    check_options,
)
from nat_models.model import NatModel

if TYPE_CHECKING:
    from mininet.topo import Topo

Place = tuple[str, ...]
"""What a place in a file is known by: ``(node,)``, or ``(node1, node2, key)`` for a link."""

MAX_INTERFACE_NAME: Final = 15  # IFNAMSIZ of Linux is 16 with the closing zero
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MININET_LINK_KEYS: Final = frozenset({"node1", "node2", "port1", "port2"})


def read_graph(topo: Topo, where: str, places: Mapping[Place, str] | None = None) -> Graph:
    """Return the checked graph of ``topo``. ``where`` names the topology in messages where no place is known.

    Raises:
        UsageError: everything wrong with names, roles, options, labels and links, at once.
    """
    reader = _Reader(topo, where, places or {})
    graph = reader.read()
    if not reader.problems:
        reader.problems += check_connected(graph)
    if reader.problems:
        raise UsageError(*reader.problems)
    return graph


class _Reader:
    """Collects problems as it reads; what it returns is only good if there were none."""

    def __init__(self, topo: Topo, where: str, places: Mapping[Place, str]) -> None:
        self.topo = topo
        self.where = where
        self.places = places
        self.problems: list[Problem] = []
        self.names: list[str] = list(topo.nodes(sort=False))

    def read(self) -> Graph:
        if not self.names:
            self._wrong(self.where, "the topology has no nodes")
        cables: dict[str, Cable] = {}
        for record in self._link_records():
            cable = self._cable(record)
            if (first := cables.get(cable.label)) is not None:
                self._duplicate_label(cable.where, first, labelled="label" in record)
                cable = dataclasses.replace(cable, label=f"{cable.label} #{len(cables)}")
            cables[cable.label] = cable
        devices = {name: self._device(name, cables) for name in self.names}
        for device in devices.values():
            self._check_references(device, devices)
        return Graph(devices=devices, cables=cables)

    def _wrong(self, where: str, found: str, expected: str = "", suggestion: str = "") -> None:
        self.problems.append(Problem(where, found, expected, suggestion))

    # Links

    def _link_records(self) -> list[dict[str, Any]]:
        """Return Mininet's link records in node order, then port order, however the file was loaded."""
        order = {name: position for position, name in enumerate(self.names)}
        records: list[dict[str, Any]] = []
        for node1, node2, key, info in self.topo.iterLinks(withKeys=True, withInfo=True):
            records.append({**info, "where": self.places.get((node1, node2, str(key)), self.where)})

        def position(record: Mapping[str, Any]) -> tuple[int, int]:
            return min((order[record[f"node{end}"]], record[f"port{end}"]) for end in "12")

        return sorted(records, key=position)

    def _cable(self, record: dict[str, Any]) -> Cable:
        where, a, b = record.pop("where"), record["node1"], record["node2"]
        given = {name: value for name, value in record.items() if name not in _MININET_LINK_KEYS}
        label = str(given.get("label", f"{a}--{b}"))
        whom = f"link {label!r}"
        if not _LABEL.fullmatch(label):
            self._wrong(
                where, f"{whom}: the label cannot be written in a scenario", "letters, digits, '-', '_', '.'"
            )
        if a == b:
            self._wrong(where, f"{whom} joins {a!r} to itself")
        wrong = check_options(given, LINK_OPTIONS, where, whom)
        self.problems += wrong
        self._check_not_switched(given, (a, b), where, whom)
        forward, backward = self._impairments(given.get("impair", {}), where, whom)
        return Cable(
            label=label, a=a, b=b, a_port=record["port1"], b_port=record["port2"],
            forward=forward, backward=backward, wish=self._wish(given, where, whom), where=where,
        )  # fmt: skip

    def _check_not_switched(
        self, given: Mapping[str, object], ends: tuple[str, str], where: str, whom: str
    ) -> None:
        switch = next((end for end in ends if self.topo.isSwitch(end)), None)
        misplaced = [name for name in SEGMENT_OPTIONS if name in given]
        if switch is not None and misplaced:
            suggestion = f"give it to the switch {switch!r}, whose whole segment it is about"
            self._wrong(where, f"{whom}: {misplaced[0]} on a link to a switch", suggestion=suggestion)

    def _duplicate_label(self, where: str, first: Cable, *, labelled: bool) -> None:
        if labelled:
            found = f"link label {first.label!r} is used twice"
            suggestion = f"the link from {first.a!r} to {first.b!r} has it already"
        else:
            found = f"{first.a!r} and {first.b!r} are linked twice, and neither link has a label"
            suggestion = 'give each of the two a label="..."'
        self._wrong(where, found, suggestion=suggestion)

    def _impairments(self, options: object, where: str, whom: str) -> tuple[Impairment, Impairment]:
        if not isinstance(options, dict):
            return PERFECT, PERFECT
        try:
            return parse_impairment(options, f"{where}: {whom}")
        except UsageError as error:
            self.problems += error.problems
            return PERFECT, PERFECT

    def _wish(self, given: Mapping[str, object], where: str, whom: str) -> AddressWish:
        subnet6 = self._prefix(given.get("subnet6"), 6, where, whom)
        assert not isinstance(subnet6, ipaddress.IPv4Network)
        subnet = self._prefix(given.get("subnet"), 4, where, whom)
        assert not isinstance(subnet, ipaddress.IPv6Network)
        return AddressWish(
            subnet=subnet, subnet6=subnet6, ipv6=given.get("ipv6") is True or "subnet6" in given
        )

    def _prefix(
        self, text: object, version: int, where: str, whom: str
    ) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        if not isinstance(text, str):
            return None  # absent, or of a wrong type, which was reported
        option, example = ("subnet", "192.168.1.0/24") if version == 4 else ("subnet6", "2001:db8:1::/64")
        try:
            prefix = ipaddress.ip_network(text, strict=False)
        except ValueError:
            prefix = None
        if prefix is None or prefix.version != version or "/" not in text:
            self._wrong(
                where, f"{whom}: {option}={text!r} is no IPv{version} prefix", f"for example {example}"
            )
            return None
        if str(prefix) != text:
            expected = "the first address of the prefix and its length"
            self._wrong(where, f"{whom}: {option}={text!r}", expected, f'did you mean "{prefix}"?')
        return prefix

    # Nodes

    def _device(self, name: str, cables: Mapping[str, Cable]) -> Device:
        info = dict(self.topo.nodeInfo(name))
        ports = _ports(name, cables)
        own = tuple(label for _, label in ports)
        where = self.places.get((name,), self.where)
        self._check_name(name, ports[-1][0] if ports else 0, where)
        if info.pop("isSwitch", False):
            return self._switch(name, where, info, own)
        rule = self._role(name, info.get("role"), where)
        if rule is None:
            return Device(name=name, kind=NodeKind.HOST, where=where, cables=own)
        self.problems += check_options(info, _allowed(rule), where, f"node {name!r}")
        return Device(
            name=name,
            kind=rule.kind,
            where=where,
            role=info["role"],
            uplink=self._uplink(name, info.get("uplink"), [cables[label] for label in own], rule, where),
            addresses=_count(info.get("addresses"), rule),
            nat=self._nat(name, info, where) if rule.kind is NodeKind.NAT else None,
            options={key: info[key] for key in rule.options if key in info},
            cables=own,
        )

    def _check_references(self, device: Device, devices: Mapping[str, Device]) -> None:
        rules = ROLES[device.role].options if device.role else {}
        for option, value in device.options.items():
            if not (role := rules[option].names):
                continue
            known = [other.name for other in devices.values() if other.role == role]
            if value not in known:
                found = f"node {device.name!r}: {option}={value!r} is no node with role {role!r}"
                suggestion = did_you_mean(str(value), known) if known else f"add a node with role={role!r}"
                self._wrong(device.where, found, suggestion=suggestion)

    def _check_name(self, name: str, last_port: int, where: str) -> None:
        if not _NAME.fullmatch(str(name)):
            self._wrong(
                where, f"node name {name!r}", "lower-case letters, digits and single '-', a letter first"
            )
        interface = f"{name}-eth{last_port}"
        if len(interface) > MAX_INTERFACE_NAME:
            found = f"node name {name!r} is too long: its interface would be {interface!r}"
            spare = MAX_INTERFACE_NAME - len(interface) + len(name)
            self._wrong(
                where, found, f"at most {spare} letters (Linux allows {MAX_INTERFACE_NAME} in an interface)"
            )

    def _switch(self, name: str, where: str, info: Mapping[str, object], own: tuple[str, ...]) -> Device:
        whom = f"switch {name!r}"
        self.problems += check_options(info, SWITCH_OPTIONS, where, whom)
        wish = self._wish(info, where, whom)
        return Device(name=name, kind=NodeKind.SWITCH, where=where, wish=wish, cables=own)

    def _role(self, name: str, role: object, where: str) -> RoleRule | None:
        if isinstance(role, str) and role in ROLES:
            return ROLES[role]
        if role is not None:
            self._wrong(
                where, f"node {name!r}: unknown role {role!r}", suggestion=did_you_mean(str(role), ROLES)
            )
        else:
            self._wrong(where, f"node {name!r} has no role", f"role= one of {', '.join(sorted(ROLES))}")
        return None

    def _uplink(self, name: str, uplink: object, cables: list[Cable], rule: RoleRule, where: str) -> str:
        """Return the label of the cable towards the core, empty where none is needed and none was given."""
        if rule.kind is NodeKind.NAT and len(cables) < 2:
            self._wrong(where, f"NAT {name!r} has no inside", "two links or more, one of them its uplink")
        elif uplink is None:
            if rule.kind is NodeKind.NAT:
                neighbours = ", ".join(cable.other_end(name) for cable in cables)
                found = f"NAT {name!r} does not say which of its neighbours is outside"
                self._wrong(where, found, f'uplink="..." with one of {neighbours}')
            return ""
        if not isinstance(uplink, str):
            return ""  # none needed, or of a wrong type, which was reported
        matches = [cable.label for cable in cables if uplink in {cable.other_end(name), cable.label}]
        if not matches:
            known = [cable.other_end(name) for cable in cables]
            self._wrong(
                where, f"node {name!r}: uplink {uplink!r} is no neighbour", "", did_you_mean(uplink, known)
            )
        elif len(matches) > 1:
            found = f"node {name!r}: more than one link leads to its uplink {uplink!r}"
            self._wrong(where, found, f"uplink= one of the labels {', '.join(matches)}")
        return matches[0] if matches else ""

    def _nat(self, name: str, info: Mapping[str, object], where: str) -> NatModel | None:
        preset = info.get("nat")
        if preset is None:
            self._wrong(where, f"NAT {name!r} has no model", 'nat="..."', 'for example nat="port-restricted"')
        if not isinstance(preset, str):
            return None
        try:
            return load_nat(preset, where, f"NAT {name!r}")
        except UsageError as error:
            self.problems += error.problems
            return None


def _ports(name: str, cables: Mapping[str, Cable]) -> list[tuple[int, str]]:
    """Return (port number, label) of each link of a node, in port order."""
    ends = [(cable.a_port, cable.label) for cable in cables.values() if cable.a == name]
    return sorted(ends + [(cable.b_port, cable.label) for cable in cables.values() if cable.b == name])


def _allowed(rule: RoleRule) -> Mapping[str, OptionRule]:
    return {**NODE_OPTIONS[rule.kind], **rule.options}


def _count(given: object, rule: RoleRule) -> int:
    return given if isinstance(given, int) else rule.addresses
