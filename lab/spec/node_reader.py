"""Reads the nodes of a Mininet ``Topo``: names, roles, NAT models, uplinks, options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError, did_you_mean
from lab.spec.findings import Findings
from lab.spec.graph import Cable, Device
from lab.spec.nat_names import load_nat
from lab.spec.network import NodeKind
from lab.spec.node_options import (
    NODE_OPTIONS,
    ROLES,
    SWITCH_OPTIONS,
    OptionRule,
    RoleRule,
    check_options,
)
from nat_models.model import NatModel

if TYPE_CHECKING:
    from mininet.topo import Topo

MAX_INTERFACE_NAME: Final = 15  # IFNAMSIZ of Linux is 16 with the closing zero
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class NodeReader:
    """Reads nodes into devices; what is wrong goes to ``findings``."""

    def __init__(self, topo: Topo, cables: Mapping[str, Cable], findings: Findings) -> None:
        self._topo = topo
        self._cables = cables
        self._ports = _ports_by_node(cables)
        self._findings = findings

    def read(self) -> dict[str, Device]:
        """Return the devices by name, in the order in which they were added."""
        devices = {name: self._device(name) for name in self._topo.nodes(sort=False)}
        for device in devices.values():
            self._check_references(device, devices)
        return devices

    def _device(self, name: str) -> Device:
        info = dict(self._topo.nodeInfo(name))
        ports = self._ports.get(name, [])
        own = tuple(label for _, label in ports)
        where = self._findings.place(name)
        self._check_name(name, ports[-1][0] if ports else 0, where)
        if info.pop("isSwitch", False):
            return self._switch(name, where, info, own)
        rule = self._role(name, info.get("role"), where)
        if rule is None:
            return Device(name=name, kind=NodeKind.HOST, where=where, cables=own)
        self._findings.extend(check_options(info, _allowed(rule), where, f"node {name!r}"))
        return Device(
            name=name,
            kind=rule.kind,
            where=where,
            role=info["role"],
            uplink=self._uplink(
                name, info.get("uplink"), [self._cables[label] for label in own], rule, where
            ),
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
            words = rules[option].choices
            if value not in (*known, *words):
                found = f"node {device.name!r}: {option}={value!r} is no node with role {role!r}"
                suggestion = f"add a node with role={role!r}"
                if known:
                    suggestion = did_you_mean(str(value), [*known, *words])
                elif words:
                    suggestion += f', or write "{words[0]}"'
                self._findings.wrong(device.where, found, suggestion=suggestion)

    def _check_name(self, name: str, last_port: int, where: str) -> None:
        if not _NAME.fullmatch(str(name)):
            self._findings.wrong(
                where, f"node name {name!r}", "lower-case letters, digits and single '-', a letter first"
            )
        interface = f"{name}-eth{last_port}"
        if len(interface) > MAX_INTERFACE_NAME:
            found = f"node name {name!r} is too long: its interface would be {interface!r}"
            spare = MAX_INTERFACE_NAME - len(interface) + len(name)
            self._findings.wrong(
                where, found, f"at most {spare} letters (Linux allows {MAX_INTERFACE_NAME} in an interface)"
            )

    def _switch(self, name: str, where: str, info: Mapping[str, object], own: tuple[str, ...]) -> Device:
        whom = f"switch {name!r}"
        self._findings.extend(check_options(info, SWITCH_OPTIONS, where, whom))
        wish = self._findings.wish(info, where, whom)
        return Device(name=name, kind=NodeKind.SWITCH, where=where, wish=wish, cables=own)

    def _role(self, name: str, role: object, where: str) -> RoleRule | None:
        if isinstance(role, str) and role in ROLES:
            return ROLES[role]
        if role is not None:
            self._findings.wrong(
                where, f"node {name!r}: unknown role {role!r}", suggestion=did_you_mean(str(role), ROLES)
            )
        else:
            self._findings.wrong(
                where, f"node {name!r} has no role", f"role= one of {', '.join(sorted(ROLES))}"
            )
        return None

    def _uplink(self, name: str, uplink: object, cables: list[Cable], rule: RoleRule, where: str) -> str:
        """Return the label of the cable towards the core, empty where none is needed and none was given."""
        if rule.kind is NodeKind.NAT and len(cables) < 2:
            self._findings.wrong(
                where, f"NAT {name!r} has no inside", "two links or more, one of them its uplink"
            )
        elif uplink is None:
            if rule.kind is NodeKind.NAT:
                neighbours = ", ".join(cable.other_end(name) for cable in cables)
                found = f"NAT {name!r} does not say which of its neighbours is outside"
                self._findings.wrong(where, found, f'uplink="..." with one of {neighbours}')
            return ""
        if not isinstance(uplink, str):
            return ""  # none needed, or of a wrong type, which was reported
        matches = [cable.label for cable in cables if uplink in {cable.other_end(name), cable.label}]
        if not matches:
            known = [cable.other_end(name) for cable in cables]
            self._findings.wrong(
                where, f"node {name!r}: uplink {uplink!r} is no neighbour", "", did_you_mean(uplink, known)
            )
        elif len(matches) > 1:
            found = f"node {name!r}: more than one link leads to its uplink {uplink!r}"
            self._findings.wrong(where, found, f"uplink= one of the labels {', '.join(matches)}")
        return matches[0] if matches else ""

    def _nat(self, name: str, info: Mapping[str, object], where: str) -> NatModel | None:
        preset = info.get("nat")
        if preset is None:
            self._findings.wrong(
                where, f"NAT {name!r} has no model", 'nat="..."', 'for example nat="port-restricted"'
            )
        if not isinstance(preset, str):
            return None
        try:
            return load_nat(preset, where, f"NAT {name!r}")
        except UsageError as error:
            self._findings.extend(error.problems)
            return None


def _ports_by_node(cables: Mapping[str, Cable]) -> dict[str, list[tuple[int, str]]]:
    """Return (port number, label) of each link of each node, in port order."""
    ports: dict[str, list[tuple[int, str]]] = {}
    for cable in cables.values():
        ports.setdefault(cable.a, []).append((cable.a_port, cable.label))
        ports.setdefault(cable.b, []).append((cable.b_port, cable.label))
    return {name: sorted(ends) for name, ends in ports.items()}


def _allowed(rule: RoleRule) -> Mapping[str, OptionRule]:
    return {**NODE_OPTIONS[rule.kind], **rule.options}


def _count(given: object, rule: RoleRule) -> int:
    return given if isinstance(given, int) else rule.addresses
