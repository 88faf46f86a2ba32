"""What is wrong with a topology, collected while it is read, so that its author hears all of it at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from lab.errors import Problem
from lab.spec.graph import AddressWish

Place = tuple[str, ...]
"""What a place in a file is known by: ``(node,)``, or ``(node1, node2, key)`` for a link."""


class Findings:
    """Problems with their places. ``where`` is the place of whatever has none of its own."""

    def __init__(self, where: str, places: Mapping[Place, str]) -> None:
        self.where = where
        self.problems: list[Problem] = []
        self._places = places

    def place(self, *key: str) -> str:
        """Return ``file:line`` of a node or link."""
        return self._places.get(key, self.where)

    def wrong(self, where: str, found: str, expected: str = "", suggestion: str = "") -> None:
        """Add one problem."""
        self.problems.append(Problem(where, found, expected, suggestion))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add what another reader found."""
        self.problems += problems

    def wish(self, given: Mapping[str, object], where: str, whom: str) -> AddressWish:
        """Return what ``subnet``, ``subnet6`` and ``ipv6`` among the options ask for."""
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
            self.wrong(
                where, f"{whom}: {option}={text!r} is no IPv{version} prefix", f"for example {example}"
            )
            return None
        if str(prefix) != text:
            expected = "the first address of the prefix and its length"
            self.wrong(where, f"{whom}: {option}={text!r}", expected, f'did you mean "{prefix}"?')
        return prefix
