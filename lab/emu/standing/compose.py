"""The Compose file of a standing lab, as text. Compose v1 (1.27 and newer) and v2 read it alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from lab.emu.standing.cables import WIRES_MTU, WIRES_NETWORK, boxes_of
from lab.emu.standing.described import OWN_TOPOLOGY, TOPOLOGY, variable_of
from lab.roles.servers import PASSWORD, USERNAME
from lab.spec.event import JsonValue
from lab.spec.network import Network, Node, NodeKind
from lab.spec.roles import COTURN, ENDPOINT, RELAY, STUN, TURN_TCP_PORT, addresses_of, first_address

STANDING: Final = "callpath.standing"
"""A label of every container of a standing lab: the topology's name."""
NODE: Final = "callpath.node"
PART: Final = "callpath.part"
"""Labels that say whose container one is: ``box``, or ``program``."""

_BOX: Final = "box"
_FORWARDING: Final = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
_NOT_FORWARDING: Final = {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.disable_ipv6": "1"}
_LIMITS: Final = {_BOX: "256m", "program": "256m"}


def compose_text(network: Network, topology: str, parameters: Mapping[str, object]) -> str:
    """Return the Compose file of a network.

    Args:
        network: as the topology makes it.
        topology: its name, or the path of its file.
        parameters: every parameter of the topology, and the value that it has unless the environment says
            another.

    Raises:
        UsageError: the network cannot be a standing lab.
    """
    return "\n".join(_lines(network, topology, parameters)) + "\n"


def _lines(network: Network, topology: str, parameters: Mapping[str, object]) -> Iterator[str]:
    own_file = topology.partition(":")[0].endswith(".py")
    yield f"# The topology {network.name} as a standing lab; `callpath compose {topology}` wrote this."
    yield "# `make images` builds the images. Variables of the environment, with what they are unless set:"
    yield "#"
    width = max(map(len, parameters), default=0)
    yield from (f"#   {variable_of(n):<{width}}  {_text(value)}" for n, value in parameters.items())
    yield ""
    yield "x-environment: &environment"
    yield f"  {TOPOLOGY}: {_quoted(OWN_TOPOLOGY if own_file else topology)}"
    for name, value in parameters.items():
        variable = variable_of(name)
        yield f"  {variable}: {_quoted(f'${{{variable}:-{_text(value)}}}')}"
    yield ""
    volumes = [f"{topology.partition(':')[0]}:{OWN_TOPOLOGY}:ro"] if own_file else []
    yield "services:"
    for name, address in boxes_of(network).items():
        node = network.nodes[name]
        yield from _box(node, str(address), network, volumes)
        if node.kind is NodeKind.HOST and node.role:
            yield from _program(node, network, volumes)
    yield ""
    yield "networks:"
    yield "  wires:"
    yield "    internal: true"
    yield "    driver: bridge"
    yield f'    driver_opts: {{com.docker.network.driver.mtu: "{WIRES_MTU}"}}'
    yield f'    ipam: {{config: [{{subnet: "{WIRES_NETWORK}"}}]}}'


def box_service(node: Node) -> str:
    """Return the name of the service that is a node's box."""
    return f"{node.name}-box" if node.kind is NodeKind.HOST else node.name


def _box(node: Node, address: str, network: Network, volumes: list[str]) -> Iterator[str]:
    yield ""
    yield f"  {box_service(node)}:"
    yield "    image: callpath/nat-box:${CALLPATH_TAG:-latest}"
    yield f"    command: [{_quoted(node.name)}]"
    yield f"    hostname: {_quoted(node.name)}"
    yield "    environment: *environment"
    yield from _labels(node, network, _BOX)
    yield "    cap_drop: [ALL]"
    yield "    cap_add: [NET_ADMIN, NET_RAW, SYS_ADMIN]"
    settings = _FORWARDING if node.kind is NodeKind.ROUTER else _NOT_FORWARDING if node.nat else {}
    if settings:
        yield "    sysctls:"
        yield from (f'      {name}: "{value}"' for name, value in settings.items())
    if network.dns and node.kind is NodeKind.HOST:
        yield "    extra_hosts:"
        yield from (f'      - "{name}:{found[0]}"' for name, found in network.dns.items())
    yield from _common(_BOX, volumes)
    yield f'    networks: {{wires: {{ipv4_address: "{address}"}}}}'


def _program(node: Node, network: Network, volumes: list[str]) -> Iterator[str]:
    yield ""
    yield f"  {node.name}:"
    if _is_coturn(node):
        yield "    image: callpath/coturn:${CALLPATH_TAG:-latest}"
        yield f"    command: {json.dumps(list(coturn_words(node)))}"
        check = ["CMD", "turnutils_stunclient", first_address(node)]
        yield f"    healthcheck: {{test: {json.dumps(check)}}}"
    else:
        image = {ENDPOINT: "endpoint", RELAY: "relay", STUN: "relay"}.get(node.role, "role")
        yield f"    image: callpath/{image}:${{CALLPATH_TAG:-latest}}"
        yield "    entrypoint: [python3, -m, lab.emu.standing.part]"
        yield f"    command: [{_quoted(node.name)}]"
        yield "    environment: *environment"
    yield from _labels(node, network, "program")
    yield "    cap_drop: [ALL]"
    yield '    security_opt: ["no-new-privileges:true"]'
    yield from _common("program", volumes)
    yield f"    network_mode: {_quoted(f'service:{box_service(node)}')}"
    yield f"    depends_on: {{{box_service(node)}: {{condition: service_healthy}}}}"


def _is_coturn(node: Node) -> bool:
    """Whether a node is coturn: every relay of a standing lab is, unless the topology asks for the lab's."""
    return node.role == RELAY and node.options.get("program", COTURN) == COTURN


def _labels(node: Node, network: Network, part: str) -> Iterator[str]:
    labels = {STANDING: network.name, NODE: node.name, PART: part}
    yield f"    labels: {json.dumps(labels)}"


def _common(part: str, volumes: list[str]) -> Iterator[str]:
    yield f"    mem_limit: {_LIMITS[part]}"
    yield "    init: true"
    if volumes:
        yield f"    volumes: {json.dumps(volumes)}"


def coturn_words(node: Node) -> Iterator[str]:
    """Yield the arguments of coturn for a node; the rest is in its image."""
    addresses = addresses_of(node)
    for address in addresses:
        yield f"--listening-ip={address}"
        yield f"--aux-server={f'[{address}]' if ':' in address else address}:{TURN_TCP_PORT}"
    yield f"--relay-ip={addresses[0]}"
    yield f"--user={USERNAME}:{PASSWORD}"


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _quoted(text: str | JsonValue) -> str:
    return json.dumps(str(text))
