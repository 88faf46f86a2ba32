"""The zone that a DNS node serves: the topology's public names, and what the node's options add."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import cast

from lab.errors import Problem, UsageError
from lab.protocols.dns import SrvRecord
from lab.protocols.dns_zone import DnsZone
from lab.spec.network import Network, Node
from lab.spec.roles import addresses_of, public_name


def zone_of(node: Node, network: Network) -> DnsZone:
    """Return the zone of a node with role ``dns``.

    Raises:
        UsageError: names, addresses or SRV records that are none; all of them.
    """
    problems: list[Problem] = []
    addresses = {**network.dns, **dict(_names(node, network))}
    services = dict(_services(node, network, addresses, problems))
    try:
        zone = DnsZone(addresses, services)
    except UsageError as error:
        problems += error.problems
    if problems:
        raise UsageError(*(_placed(problem, node) for problem in problems))
    return zone


def _names(node: Node, network: Network) -> Iterator[tuple[str, list[str]]]:
    """Yield the names that the options add; a node's name stands for its addresses, private ones too."""
    for name, values in _lists(node, "names"):
        yield (
            name,
            [
                address
                for value in values
                for address in (addresses_of(network.nodes[value]) if value in network.nodes else [value])
            ],
        )


def _services(
    node: Node, network: Network, known: Collection[str], problems: list[Problem]
) -> Iterator[tuple[str, list[SrvRecord]]]:
    for name, texts in _lists(node, "srv"):
        records = []
        for text in texts:
            try:
                record = SrvRecord.from_text(text, f"srv {name}")
            except UsageError as error:
                problems += error.problems
                continue
            if (node_name := record.target) in network.nodes:
                record = record._replace(target=public_name(node_name))
                if record.target not in known:
                    found = f"{text!r}: {node_name} is not public and has no name"
                    problems.append(
                        Problem(f"srv {name}", found, suggestion='give it one: names={"...": [...]}')
                    )
            records.append(record)
        yield name, records


def _lists(node: Node, option: str) -> Iterator[tuple[str, list[str]]]:
    # The plan has checked the shape (lab.spec.node_options).
    yield from cast("Mapping[str, list[str]]", node.options.get(option, {})).items()


def _placed(problem: Problem, node: Node) -> Problem:
    where = ": ".join(part for part in (f"node {node.name}", problem.where) if part)
    return Problem(where, problem.found, problem.expected, problem.suggestion)
