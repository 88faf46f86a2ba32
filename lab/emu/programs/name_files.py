"""How programs on a node resolve names: the C library's files, replaced for one process and its children."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab.emu.system_calls import CLONE_NEWNS, MS_BIND, mount, unshare
from lab.spec.network import Network, Node
from lab.spec.roles import first_address, name_servers_of

_LOCAL: Final = "127.0.0.1 localhost\n::1 localhost\n"


def name_files(node: Node, network: Network) -> Mapping[str, str]:
    """Return the text of each file of the C library's resolver on a node, by path.

    Where the node asks DNS servers, all names are theirs; else it has the public hosts' names in a table.
    Time-outs and attempts are the C library's own (resolv.conf(5)).
    """
    servers = name_servers_of(node, network)
    table = {} if servers else network.dns
    hosts = (f"{address} {name}\n" for name, addresses in table.items() for address in addresses)
    return {
        "/etc/hosts": _LOCAL + "".join(hosts),
        "/etc/resolv.conf": "".join(f"nameserver {first_address(server)}\n" for server in servers),
        "/etc/nsswitch.conf": "hosts: files dns\n" if servers else "hosts: files\n",
    }


def use_name_files(files: Mapping[str, str]) -> None:
    """Give this process, and those it starts, files of its own; what the machine has is not changed.

    Raises:
        OSError: the kernel refused it.
    """
    unshare(CLONE_NEWNS)
    for path, text in files.items():
        target = Path(os.path.realpath(path))
        if not target.exists():
            if not target.is_relative_to("/run"):
                continue  # the machine has none, and must not be given one
            target.parent.mkdir(parents=True, exist_ok=True)  # in the private /run
            target.touch()
        with tempfile.NamedTemporaryFile("w", dir="/run", encoding="ascii") as file:
            file.write(text)
            file.flush()
            Path(file.name).chmod(0o644)
            mount(file.name, str(target), flags=MS_BIND)
