"""Reads the links of a Mininet ``Topo``: labels, impairments, what they ask for in addresses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lab.errors import UsageError
from lab.spec.findings import Findings
from lab.spec.graph import Cable
from lab.spec.impairment import PERFECT, Impairment
from lab.spec.impairment_options import parse_impairment
from lab.spec.node_options import LINK_OPTIONS, SEGMENT_OPTIONS, check_options

if TYPE_CHECKING:
    from mininet.topo import Topo

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MININET_KEYS: Final = frozenset({"node1", "node2", "port1", "port2"})


class LinkReader:
    """Reads links into cables; what is wrong goes to ``findings``."""

    def __init__(self, topo: Topo, findings: Findings) -> None:
        self._topo = topo
        self._findings = findings

    def read(self) -> dict[str, Cable]:
        """Return the cables by label."""
        cables: dict[str, Cable] = {}
        for record in self._link_records():
            cable = self._cable(record)
            if (first := cables.get(cable.label)) is not None:
                self._duplicate_label(cable.where, first, labelled="label" in record)
                cable = dataclasses.replace(cable, label=f"{cable.label} #{len(cables)}")
            cables[cable.label] = cable
        return cables

    def _link_records(self) -> list[dict[str, Any]]:
        """Return Mininet's link records in node order, then port order, however the file was loaded."""
        order = {name: position for position, name in enumerate(self._topo.nodes(sort=False))}
        records: list[dict[str, Any]] = []
        for node1, node2, key, info in self._topo.iterLinks(withKeys=True, withInfo=True):
            records.append({**info, "where": self._findings.place(node1, node2, str(key))})

        def position(record: Mapping[str, Any]) -> tuple[int, int]:
            return min((order[record[f"node{end}"]], record[f"port{end}"]) for end in "12")

        return sorted(records, key=position)

    def _cable(self, record: dict[str, Any]) -> Cable:
        where, a, b = record.pop("where"), record["node1"], record["node2"]
        given = {name: value for name, value in record.items() if name not in _MININET_KEYS}
        label = str(given.get("label", f"{a}--{b}"))
        whom = f"link {label!r}"
        if not _LABEL.fullmatch(label):
            self._findings.wrong(
                where, f"{whom}: the label cannot be written in a scenario", "letters, digits, '-', '_', '.'"
            )
        if a == b:
            self._findings.wrong(where, f"{whom} joins {a!r} to itself")
        self._findings.extend(check_options(given, LINK_OPTIONS, where, whom))
        self._check_not_switched(given, (a, b), where, whom)
        forward, backward = self._impairments(given.get("impair", {}), where, whom)
        return Cable(
            label=label, a=a, b=b, a_port=record["port1"], b_port=record["port2"],
            forward=forward, backward=backward, wish=self._findings.wish(given, where, whom), where=where,
            attached=given.get("attached") is not False,
        )  # fmt: skip

    def _check_not_switched(
        self, given: Mapping[str, object], ends: tuple[str, str], where: str, whom: str
    ) -> None:
        switch = next((end for end in ends if self._topo.isSwitch(end)), None)
        misplaced = [name for name in SEGMENT_OPTIONS if name in given]
        if switch is not None and misplaced:
            suggestion = f"give it to the switch {switch!r}, whose whole segment it is about"
            self._findings.wrong(
                where, f"{whom}: {misplaced[0]} on a link to a switch", suggestion=suggestion
            )

    def _duplicate_label(self, where: str, first: Cable, *, labelled: bool) -> None:
        if labelled:
            found = f"link label {first.label!r} is used twice"
            suggestion = f"the link from {first.a!r} to {first.b!r} has it already"
        else:
            found = f"{first.a!r} and {first.b!r} are linked twice, and neither link has a label"
            suggestion = 'give each of the two a label="..."'
        self._findings.wrong(where, found, suggestion=suggestion)

    def _impairments(self, options: object, where: str, whom: str) -> tuple[Impairment, Impairment]:
        if not isinstance(options, dict):
            return PERFECT, PERFECT
        try:
            return parse_impairment(options, f"{where}: {whom}")
        except UsageError as error:
            self._findings.extend(error.problems)
            return PERFECT, PERFECT
