"""coturn as the relay of a host: configured, started, asked whether it answers, and its end noticed.

TURN must not be judged by the lab's own server alone. coturn listens where that one does and knows the same
user.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lab.emu.programs.program_ends import ProgramNotReady
from lab.emu.programs.versions import installed_version
from lab.emu.servers.listener import Listener, silent_ones, wait_until_all_answer
from lab.emu.servers.server_program import ServerProgram
from lab.emu.servers.stun_check import answers
from lab.emu.settings import device_names
from lab.errors import Problem, UsageError
from lab.protocols.turn_server import PermissionKey, PermissionRefresh, RelayConfig, Transport
from lab.roles.certificates import lab_authority
from lab.roles.servers import PASSWORD, USERNAME
from lab.spec.network import Network, Node
from lab.spec.roles import (
    COTURN,
    DNS,
    RELAY,
    STUN_PORT,
    TURN_TCP_PORT,
    TURN_TLS_PORT,
    addresses_of,
    public_name,
)

PROGRAM: Final = "turnserver"
"""What the coturn project calls its server."""

_FILES: Final = Path("/run/callpath-coturn")
"""A directory a node, with configuration, certificate and data base; in the private /run."""


def runs_coturn(node: Node) -> bool:
    """Whether the relay of a node is to be coturn."""
    return node.role == RELAY and node.options.get("program") == COTURN


def coturn_version() -> str:
    """Return the version of the coturn that is installed.

    Raises:
        HostNotReady: none is.
    """
    return installed_version(
        [PROGRAM, "--version"],
        f"coturn is asked for, and there is no program {PROGRAM}\n"
        "  on Debian or Ubuntu `apt-get install coturn`; `--relay lab` needs none of it",
    )


def require_coturn_can(node: Node) -> None:
    """Make sure that coturn can be what the node's options ask of a relay.

    Raises:
        UsageError: it cannot.
    """
    own = {"permission_refresh": PermissionRefresh.COTURN.value, "permission_key": PermissionKey.IP.value}
    problems = [
        Problem(
            node.name, f"coturn has no {name} {node.options[name]!r}", f"{value!r}", "the lab's relay has"
        )
        for name, value in own.items()
        if node.options.get(name, value) != value
    ]
    if problems:
        raise UsageError(*problems)


class Coturn(ServerProgram):
    """coturn on a node.

    Args:
        node: the relay; its addresses are coturn's.
        network: where it is.

    Raises:
        UsageError: coturn cannot be what the node's options ask for.
    """

    name: str = COTURN

    def __init__(self, node: Node, network: Network) -> None:
        require_coturn_can(node)
        super().__init__()
        self._node, self._network = node, network
        self._addresses = addresses_of(node)
        self._names = [public_name(node.name)] if DNS in network.by_role else []
        self._listeners = list(listeners_at(self._addresses))

    def prepare(self) -> Sequence[str]:
        """Write coturn's files; return its command line."""
        let_packets_vanish(self._node, self._network)
        return [PROGRAM, "-c", str(self._write_files())]

    async def until_it_answers(self) -> None:
        """Return when it has answered a Binding request on each listener."""
        await wait_until_all_answer(self._listeners, answers)

    def silent(self) -> str:
        """Return the listeners on which it has not answered yet."""
        return silent_ones(self._listeners)

    def _write_files(self) -> Path:
        """Write what coturn reads, in a directory of its own; return the configuration."""
        directory = _FILES / self._node.name
        directory.mkdir(parents=True, exist_ok=True)
        certificate, configuration = directory / "server.pem", directory / "turnserver.conf"
        certificate.write_bytes(lab_authority().server_pem([*self._addresses, *self._names]))
        lines = configuration_lines(self._addresses, directory, certificate)
        configuration.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        return configuration


def listeners_at(addresses: list[str]) -> Iterator[Listener]:
    """Yield where coturn is to listen: as the lab's relay does, on each address."""
    for address in addresses:
        yield Listener(Transport.UDP, address, STUN_PORT)
        yield Listener(Transport.TCP, address, STUN_PORT)
        yield Listener(Transport.TCP, address, TURN_TCP_PORT)
        yield Listener(Transport.TLS, address, TURN_TLS_PORT)


def configuration_lines(addresses: list[str], directory: Path, certificate: Path) -> Iterator[str]:
    """Yield the lines of a configuration file of coturn 4.5 or 4.6.

    With two addresses of one family it answers behaviour discovery (RFC 5780) of its own accord. It relays
    from the first address of each family, as the lab's relay does.
    """
    likeness = RelayConfig(addresses=tuple(addresses))
    for address in addresses:
        yield f"listening-ip={address}"
        # An additional listener is the one way to a second port for TCP; it takes UDP and TLS there as well.
        yield f"aux-server={f'[{address}]' if ':' in address else address}:{TURN_TCP_PORT}"
    for version in (4, 6):
        first = next((a for a in addresses if (":" in a) == (version == 6)), None)
        if first is not None:
            yield f"relay-ip={first}"
    yield f"listening-port={STUN_PORT}"
    yield f"alt-listening-port={likeness.alternate_port}"
    yield f"tls-listening-port={TURN_TLS_PORT}"
    yield f"min-port={likeness.relay_ports[0]}"
    yield f"max-port={likeness.relay_ports[1]}"
    yield "lt-cred-mech"
    yield f"user={USERNAME}:{PASSWORD}"
    yield f"realm={likeness.realm}"
    yield f"cert={certificate}"
    yield f"pkey={certificate}"
    yield f"userdb={directory / 'users.sqlite'}"  # its usual place is the machine's
    yield f"pidfile={directory / 'turnserver.pid'}"
    yield "log-file=stdout"
    yield "verbose"
    yield "no-cli"
    yield "no-dtls"  # nothing of the lab speaks it, and so nothing would notice that it does not answer


_NOBODY: Final = {4: "169.254.254.254", 6: "fe80::fe"}
"""The next hop of packets that nobody is to have: link-local addresses, which the lab gives to no node."""
_NO_DEVICE: Final = "02:00:00:00:00:fe"


def vanishing_routes(node: Node, network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that let packets to unknown places vanish from a host without default route.

    coturn closes the session of a client whose peer it has no route to (``sendto`` fails with ENETUNREACH),
    and among a caller's peers are the other's private addresses. Beyond a router such packets vanish.
    """
    devices = device_names(network)
    for version in (4, 6):
        links = [i.link for i in node.interfaces if any((":" in a) == (version == 6) for a in i.addresses)]
        if links and all(r.destination.prefixlen or r.destination.version != version for r in node.routes):
            device = devices[node.name, links[0]]
            yield f"neighbour replace {_NOBODY[version]} lladdr {_NO_DEVICE} dev {device} nud permanent"
            everywhere = "0.0.0.0/0" if version == 4 else "::/0"
            yield f"route replace {everywhere} via {_NOBODY[version]} dev {device} onlink"


def let_packets_vanish(node: Node, network: Network) -> None:
    """Give a node without a default route one to nobody: see :func:`vanishing_routes`."""
    commands = "\n".join(vanishing_routes(node, network))
    done = subprocess.run(["ip", "-batch", "-"], input=commands, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramNotReady(
            f"the host of coturn has no default route, and can be given none: {done.stderr}"
        )
