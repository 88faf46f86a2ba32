"""``callpath engine COMMAND``: run a command with a Docker engine of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from types import FrameType

import click

EXIT_NOT_FOUND = 127
_OF_SIGNALS = 128


@click.command("engine", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--if-none", is_flag=True,
    help="Start none where one can be reached, or where none can be started: run the command all the same.",
)  # fmt: skip
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(if_none: bool, words: tuple[str, ...]) -> int:
    """Run a command with a Docker engine of its own, named by DOCKER_HOST in its environment.

    The engine runs in namespaces of its own, as root, by Debian's docker.io or Docker's own packages; it
    begins without images and without a way to the machine's network. When the command ends nothing of it is
    left, nor when it is killed. Exit status: the command's.
    """
    from lab.emu.containers.private_engine import PrivateEngine, why_none_can_run

    if if_none and (_one_answers() or why_none_can_run()):
        return _run(words, {})
    with PrivateEngine() as engine:
        return _run(words, {"DOCKER_HOST": engine.url})


def _one_answers() -> bool:
    from lab.emu.containers.engine import Engine
    from lab.errors import HostNotReady

    try:
        Engine().close()
    except HostNotReady:
        return False
    return True


def _run(words: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run a command; what is sent to end this process ends the command, and so this process."""
    try:
        process = subprocess.Popen(words, env={**os.environ, **environment})  # noqa: S603 - the user's own
    except OSError as error:
        click.echo(f"callpath: {words[0]}: {error.strerror}", err=True)
        return EXIT_NOT_FOUND

    def hand_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGHUP, hand_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal interrupts the command as well
    status = process.wait()
    return status if status >= 0 else _OF_SIGNALS - status
