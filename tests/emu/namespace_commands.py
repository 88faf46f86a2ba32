"""Run shell commands in an outer namespace whose agent is `programs/command_agent.py`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.emu.outer import OuterNamespace


@contextmanager
def commands_inside(outer: OuterNamespace) -> Iterator[Callable[..., str]]:
    """Yield a function that runs a command and returns its output; `fails` says that it is to fail."""
    with outer.channel.makefile("rw") as lines:

        def run(command: str, *, fails: bool = False) -> str:
            lines.write(command + "\n")
            lines.flush()
            status, output = json.loads(lines.readline())
            assert (status != 0) == fails, output
            return str(output)

        yield run
