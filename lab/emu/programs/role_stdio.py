"""One role as the program of a container: ``python -m lab.emu.programs.role_stdio``.

As :mod:`lab.emu.programs.role_process`, but for what is outside of it: the lines come on standard input and
go to standard output, the network namespace and the files of the C library's resolver are the container's.
Whatever else the program prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import IO

from lab.emu.messages import LONGEST_LINE
from lab.emu.programs.role_process import RoleSetup, read_setup, run_role
from lab.emu.run_clock import RunClockLoop
from lab.spec.network import Network

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2


def main() -> int:
    """Be the program that the first line says, until the input ends."""
    lines = os.fdopen(os.dup(_OUTPUT), "wb", buffering=0)
    os.dup2(_ERRORS, _OUTPUT)
    asked = os.fdopen(_INPUT, "rb", buffering=0)
    if not (line := _first_line(asked)):
        return 0
    setup, network = read_setup(line)
    with asyncio.Runner(loop_factory=lambda: RunClockLoop(setup.origin)) as runner:
        return runner.run(_run_on_pipes(setup, network, asked, lines))


def _first_line(asked: IO[bytes]) -> bytes:
    """Read a line and not a byte more: what follows is for the program itself."""
    line = bytearray()
    while not line.endswith(b"\n") and (more := asked.readline(1 << 16)):
        line += more
    return bytes(line)


async def _run_on_pipes(setup: RoleSetup, network: Network, asked: IO[bytes], lines: IO[bytes]) -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), asked)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), lines
    )
    return await run_role(setup, network, reader, asyncio.StreamWriter(transport, protocol, reader, loop))


if __name__ == "__main__":
    sys.exit(main())
