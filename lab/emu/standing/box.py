"""The program of a box: ``python -m lab.emu.standing.box NODE``, in a container with a right to make devices.

It moves the engine's device to a namespace below, where no program sees it, makes its end of every cable,
carries out the delay and loss of the links that are its own to impair, is the NAT where its node is one, and
writes a file when all of that is done: others wait for it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Thread
from typing import Final

from lab.emu.links.wire import WireSetup, run_wires
from lab.emu.links.wire_control import wire_setup
from lab.emu.messages import encode_object
from lab.emu.nat_planes import BoxWiring
from lab.emu.nat_planes.engine.__main__ import Program
from lab.emu.settings import device_names
from lab.emu.standing.cables import (
    ENGINES_DEVICE,
    address_commands,
    flood_commands,
    impaired_at,
    link_commands,
    under_commands,
    wire_end_commands,
)
from lab.emu.standing.described import described_network
from lab.emu.system_calls import CLONE_NEWNET, die_with_parent, unshare
from lab.errors import CallpathError, HostNotReady, UsageError, did_you_mean
from lab.spec.network import Network, Node
from lab.spec.seeds import derive_seed

READY: Final = Path("/run/callpath-box")
"""Is there once the box is as it is to be."""

_SEED: Final = 0
"""A standing lab is no trial: what it does by chance need not be the same again."""


def main(name: str) -> int:
    """Be the box of a node until told to end."""
    READY.unlink(missing_ok=True)
    try:
        network = described_network()
        if name not in network.nodes:
            raise UsageError(f"no node {name!r} in {network.name}; {did_you_mean(name, network.nodes)}")
        asyncio.run(_serve(network.nodes[name], network))
    except CallpathError as error:
        sys.stderr.write(f"callpath: {error}\n")
        return error.exit_code
    return 0


async def _serve(node: Node, network: Network) -> None:
    below = _namespace_below()
    _batch("ip", [f"link set {ENGINES_DEVICE} netns {below}"])
    inside = "nsenter", f"--net=/proc/{below}/ns/net"
    _batch("ip", under_commands(node, network), inside)
    _batch("ip", link_commands(node, network, os.getpid()), inside)
    _batch("ip", wire_end_commands(node, network))
    _batch("bridge", flood_commands(node, network))
    _batch("ip", address_commands(node, network))
    if node.name in impaired_at(network):
        _start_wires(node, network)
    loop = asyncio.get_running_loop()
    if node.nat is not None:
        devices = device_names(network)
        own = {interface.link: devices[node.name, interface.link] for interface in node.interfaces}
        configuration = node.nat, BoxWiring.of_node(node, own), derive_seed(_SEED, node.name, "ports")
        Program(loop).start(base64.b64encode(pickle.dumps(configuration)).decode())
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    READY.touch()
    sys.stdout.write(f"{node.name} is ready\n")
    sys.stdout.flush()
    await told.wait()


def _namespace_below() -> int:
    """Return a process that holds a network namespace of its own, for as long as this one lives."""
    held, holds = os.pipe()
    holder = os.fork()
    if holder == 0:
        die_with_parent()
        unshare(CLONE_NEWNET)
        os.write(holds, b"1")
        while True:
            signal.pause()
    os.close(holds)
    if not os.read(held, 1):
        raise HostNotReady("the box can make no network namespace: it needs CAP_SYS_ADMIN")
    os.close(held)
    return holder


def _batch(program: str, commands: Iterable[str], inside: Sequence[str] = ()) -> None:
    command, lines = [*inside, program, "-batch", "-"], "\n".join(commands)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostNotReady(f"{program}: {done.stderr.strip()}")


def _start_wires(node: Node, network: Network) -> None:
    """Start a process that is the wires of this box's own links."""
    whole = wire_setup(network, "", run_seed=_SEED, trial=node.name)
    own = impaired_at(network)[node.name]
    setup = WireSetup(namespace="", ends={key: end for key, end in whole.ends.items() if key[0] in own})
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        die_with_parent()
        run_wires(theirs, encode_object(setup).encode())
    theirs.close()
    if not ours.recv(4096):
        raise HostNotReady("the wires of this box's links have ended; their reason is above")
    Thread(target=_hear, args=(ours,), daemon=True).start()


def _hear(wires: socket.socket) -> None:
    """Hear what wires tell of every packet that they lose: a standing lab keeps no events."""
    while wires.recv(1 << 16):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
