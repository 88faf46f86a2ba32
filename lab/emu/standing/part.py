"""The program of a host of a standing lab: ``python -m lab.emu.standing.part NODE``.

A server of the lab's own runs its role, and its events go to standard output. An endpoint only waits: a run
starts its program anew, in this container, for every trial.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Final

from lab.emu.messages import encode_network
from lab.emu.programs.role_process import RoleSetup, run_role
from lab.emu.run_clock import RunClockLoop
from lab.emu.standing.described import described_network
from lab.errors import CallpathError
from lab.spec.network import Network
from lab.spec.roles import ENDPOINT

_TRIAL: Final = "standing"


def main(name: str) -> int:
    """Be the program of a node until told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        network = described_network()
    except CallpathError as error:
        sys.stderr.write(f"callpath: {error}\n")
        return error.exit_code
    if network.nodes[name].role == ENDPOINT:
        while True:
            signal.pause()
    origin = time.monotonic()
    setup = RoleSetup(
        node=name, namespace="", network=encode_network(network), trial=_TRIAL, seed=0, origin=origin
    )
    with asyncio.Runner(loop_factory=lambda: RunClockLoop(origin)) as runner:
        return runner.run(_run(setup, network))


async def _run(setup: RoleSetup, network: Network) -> int:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(os.dup(1), "wb", buffering=0)
    )
    never = asyncio.StreamReader()  # nobody commands a server
    return await run_role(setup, network, never, asyncio.StreamWriter(transport, protocol, never, loop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
