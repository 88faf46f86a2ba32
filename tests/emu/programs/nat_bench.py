"""A NAT box between hosts of its own, in network namespaces: what every test of a NAT plane is run on.

    h1 10.255.0.2 --+
                    +-- switch -- in [box] out 198.18.0.100 ... -- server 198.18.0.1, .2, .3
    h2 10.255.0.3 --+

With ``guests`` the second host is on a device of its own, ``guests`` 10.254.0.1, as 10.254.0.3.

It is built in the namespace that the caller is in, by one batch of ``ip`` commands a bench.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Self

from lab.emu.nat_planes import BoxWiring
from lab.emu.nat_planes.settings import write_settings
from lab.emu.system_calls import inside_network

INSIDE_HOSTS = {"h1": "10.255.0.2", "h2": "10.255.0.3"}
INSIDE_HOSTS_IPV6 = {"h1": "fd00:255::2", "h2": "fd00:255::3"}
SERVER_ADDRESSES = ("198.18.0.1", "198.18.0.2", "198.18.0.3")
SERVER_ADDRESSES_IPV6 = ("fd00:18::1", "fd00:18::2")
EXTERNAL = "198.18.0.100"
GUESTS, GUEST = "guests", "10.254.0.3"
SETTINGS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
}

_serial = itertools.count(1)


def run(command: Iterable[str], text: str = "") -> str:
    done = subprocess.run(list(command), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout


class Bench:
    """One box and its hosts. ``addressed`` false leaves the box's devices without addresses."""

    def __init__(
        self,
        *,
        external_addresses: int = 1,
        addressed: bool = True,
        guests: bool = False,
        isolated: bool = False,
    ) -> None:
        number = next(_serial)
        self.names = {name: f"{name}-{number}" for name in ("h1", "h2", "switch", "box", "server")}
        self.external = tuple(f"198.18.0.{100 + n}" for n in range(external_addresses))
        self.hosts = {**INSIDE_HOSTS, "h2": GUEST} if guests else INSIDE_HOSTS
        extra = ((GUESTS, "10.254.0.1/24"),) if guests else ()
        self.wiring = BoxWiring(
            inside=("in", GUESTS) if guests else ("in",),
            outside="out",
            external_addresses=self.external,
            internal_networks=("10.255.0.0/24", "fd00:255::/64", *(["10.254.0.0/24"] if guests else [])),
            isolated=isolated,
            addresses=(
                *(("in", address) for address in ("10.255.0.1/24", "fd00:255::1/64")),
                *(("out", f"{address}/24") for address in self.external),
                ("out", "fd00:18::100/64"),
                *extra,
            ),
        )
        run(["ip", "-b", "-"], "\n".join(f"netns add {name}" for name in self.names.values()))
        for name in self.names.values():
            with self.inside(name):
                write_settings(SETTINGS)
        for host in INSIDE_HOSTS:
            with self.inside(host):
                # A host that reaches itself by a box that keeps the internal source sees its own address.
                write_settings({"ipv4/conf/all/accept_local": "1"})
        run(["ip", "-b", "-"], "\n".join(self._links()))
        for name in self.names:
            run(["ip", "-n", self.names[name], "-b", "-"], "\n".join(self._addresses(name, addressed)))
        if addressed:
            with self.inside("box"):
                write_settings({"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"})

    def inside(self, name: str) -> AbstractContextManager[None]:
        """Enter the namespace of a node."""
        return inside_network(self.namespace(name))

    def namespace(self, name: str) -> str:
        """Return the file of a node's namespace."""
        return f"/run/netns/{self.names.get(name, name)}"

    def in_box(self, *command: str, text: str = "") -> str:
        """Run a program in the box."""
        return run(["ip", "netns", "exec", self.names["box"], *command], text)

    def load_rules(self, text: str) -> None:
        """Give the box a rule set."""
        self.in_box("nft", "-f", "-", text=text)

    def _links(self) -> list[str]:
        names = self.names
        lines = [
            f"link add in netns {names['box']} type veth peer name box netns {names['switch']}",
            f"link add out netns {names['box']} type veth peer name out netns {names['server']}",
        ]
        lines += [
            f"link add in netns {names[host]} type veth peer name {host} netns {names['switch']}"
            for host in INSIDE_HOSTS
        ]
        if self.hosts["h2"] == GUEST:
            lines[-1] = f"link add in netns {names['h2']} type veth peer name {GUESTS} netns {names['box']}"
        return lines

    def _addresses(self, name: str, addressed: bool) -> list[str]:
        lines = ["link set lo up"]
        if name in INSIDE_HOSTS:
            lines += [
                f"addr add {self.hosts[name]}/24 dev in",
                f"addr add {INSIDE_HOSTS_IPV6[name]}/64 dev in nodad",
                "link set in up",
                f"route add default via {self.hosts[name].rpartition('.')[0]}.1",
                "route add ::/0 via fd00:255::1",
            ]
        elif name == "switch":
            lines += ["link add lan type bridge", "link set lan up"]
            on_it = [host for host, address in self.hosts.items() if address != GUEST]
            lines += [f"link set {port} master lan up" for port in ("box", *on_it)]
        elif name == "box":
            if addressed:
                lines += [f"addr add {address} dev {device}" for device, address in self.wiring.addresses]
            lines += [f"link set {device} up" for device in (*self.wiring.inside, "out")]
        else:
            lines += [f"addr add {address}/24 dev out" for address in SERVER_ADDRESSES]
            lines += [f"addr add {address}/64 dev out nodad" for address in SERVER_ADDRESSES_IPV6]
            # The way back to inside addresses is for boxes that do not translate.
            lines += [
                "link set out up",
                f"route add 10.255.0.0/24 via {EXTERNAL}",
                "route add fd00:255::/64 via fd00:18::100",
            ]
        return lines

    def close(self) -> None:
        """Delete the namespaces, and with them all that is in them."""
        run(["ip", "-b", "-"], "\n".join(f"netns del {name}" for name in self.names.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
