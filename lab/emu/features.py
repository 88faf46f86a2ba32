"""What the kernel has of what the kernel world uses, found by using it in a namespace of its own.

``python -m lab.emu.features FD`` is an agent of an outer namespace: it tries everything and writes the
findings to the socket, one JSON object a line. Neither the list of loaded modules nor the kernel's
configuration is read: both say no where the answer is yes, and the other way round.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one thing.

    ``needed`` says that the kernel world does not run without it; ``evidence`` is what was seen; ``remedy``
    what to do where it is absent, or what is used in its place.
    """

    name: str
    present: bool
    needed: bool
    evidence: str
    remedy: str = ""


class AbsentError(Exception):
    """A feature is not there; the text is what the kernel or the program said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Something to try. ``attempt`` returns what was seen and raises AbsentError or OSError."""

    name: str
    attempt: Callable[[], str]
    remedy: str
    needed: bool = False

    def find(self) -> Finding:
        """Try it."""
        try:
            evidence, present = self.attempt(), True
        except (AbsentError, OSError) as error:
            evidence, present = str(error), False
        remedy = "" if present else self.remedy
        return Finding(
            name=self.name, present=present, needed=self.needed, evidence=evidence, remedy=remedy
        )  # fmt: skip


def _run(*command: str, given: str = "") -> str:
    """Run a program; return its output.

    Raises:
        AbsentError: it is not installed, or it failed.
    """
    if shutil.which(command[0]) is None:
        raise AbsentError(f"{command[0]} is not installed")
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise AbsentError(f"{command[0]}: {words[0]}")
    return done.stdout


def _worked(*command: str, given: str = "") -> str:
    _run(*command, given=given)
    return given or " ".join(command)


def _nat() -> str:
    rules = (
        "table ip probe { map m { type ipv4_addr . inet_service : ipv4_addr . inet_service;"
        " flags dynamic,timeout; timeout 30s; }\n"
        "chain c { type nat hook postrouting priority srcnat; masquerade random; }\n }\n"
    )
    _run("nft", "-f", "-", given=rules)
    return "a table with address translation and a map with lifetimes"


def _conntrack() -> str:
    _run("conntrack", "-L")
    entries = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").read_text(encoding="ascii").strip()
    return f"conntrack -L; UDP lifetime {entries} s, to be set in each namespace"


def _sip_helper() -> str:
    _run("nft", "-f", "-", given='table ip sip { ct helper s { type "sip" protocol udp; l3proto ip; }\n }\n')
    return "ct helper of type sip"


def _packet_socket() -> str:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
        packets.bind(("lo", 0))
    return "a raw packet socket on an interface"


def _ipv6() -> str:
    if not Path("/proc/sys/net/ipv6").exists():
        raise AbsentError(os.strerror(errno.EAFNOSUPPORT))
    return _worked("ip", "-6", "address", "add", "2001:db8::1/64", "dev", "lo")


_KERNEL: Final = "a kernel with it: every distribution's own has it; a container's or a firewall's may not"

FEATURES: Final[Sequence[Feature]] = (
    Feature(
        name="veth",
        needed=True,
        attempt=lambda: _worked("ip", "link", "add", "pv0", "type", "veth", "peer", "name", "pv1"),
        remedy=_KERNEL,
    ),
    Feature(
        name="bridge",
        needed=True,
        attempt=lambda: _worked("ip", "link", "add", "pb0", "type", "bridge"),
        remedy=_KERNEL,
    ),
    Feature(
        name="network namespaces by name",
        needed=True,
        attempt=lambda: _worked("ip", "netns", "add", "probe"),
        remedy=_KERNEL,
    ),
    Feature(name="IPv6", attempt=_ipv6, remedy="topologies with IPv6 cannot be built"),
    Feature(name="nft NAT", needed=True, attempt=_nat, remedy="apt-get install nftables, or " + _KERNEL),
    Feature(
        name="conntrack", needed=True, attempt=_conntrack, remedy="apt-get install conntrack, or " + _KERNEL
    ),
    Feature(name="conntrack SIP helper", attempt=_sip_helper, remedy="the kernel's SIP ALG cannot be used"),
    Feature(
        name="AF_PACKET",
        attempt=_packet_socket,
        remedy="impaired links, NAT boxes in user space and captures cannot be used",
    ),
)
"""In this order: a later one may use what an earlier one made."""


def main(channel_number: int) -> None:
    """Try every feature and report each as soon as it is known."""
    with socket.socket(fileno=channel_number) as channel, channel.makefile("w") as lines:
        for feature in FEATURES:
            lines.write(json.dumps(asdict(feature.find())) + "\n")
            lines.flush()


if __name__ == "__main__":
    main(int(sys.argv[-1]))
