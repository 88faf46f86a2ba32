"""``callpath``.

The command line. Commands are found by name and imported when called, so that help is quick.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Final

import click

import lab
from lab.errors import CallpathError, did_you_mean

COMMANDS: Final = {
    "agree": "Say whether virtual time and the kernel come to the same, cell by cell.",
    "baseline": "Keep what a run came to under a name, and say whether later runs come to the same.",
    "call": "Make a call in a running lab, and say which path it took.",
    "capture": "Write what a node of a running lab sees as packets, for Wireshark.",
    "check": "Read a scenario, name everything that is wrong with it, and say what would run.",
    "clean": "Remove what killed runs have left on this machine: there should be nothing.",
    "compare": "Say what changed from one stored run to another.",
    "compose": "Write a topology as a Compose file: a standing lab, on networks that lead nowhere.",
    "cut": "Let nothing through a link of a running lab.",
    "doctor": "Find out whether this machine can run the kernel world, and what to do where not.",
    "down": "End a running lab.",
    "engine": "Run a command with a Docker engine of its own: for containers where none runs.",
    "exec": "Run a program on a node of a running lab.",
    "explain": "Say why a call of a stored run took its path: possible, selected, dropped where.",
    "graph": "Draw a topology: nodes, NAT kinds, links and what they do, as SVG or Mermaid.",
    "heal": "Undo a cut.",
    "impair": "Delay, lose or limit what a link of a running lab carries.",
    "ladder": "Draw what the packets of a stored trial did, box by box.",
    "ls": "List scenarios, topologies and NAT presets.",
    "plot": "Draw the pictures of a stored run's report as files.",
    "predict": "Which paths a pair of NATs makes possible, from their models alone.",
    "probe": "Measure the NATs between this machine and a STUN server; write them as a preset.",
    "ps": "List running labs.",
    "reboot-nat": "Power-cycle a NAT box of a running lab.",
    "replay": "Run a stored trial again, check that it is the same to the byte, write its capture.",
    "report": "Write a stored run as one HTML file: verdict, matrix, plots, every call.",
    "reset": "Give a link of a running lab back its own impairments.",
    "resume": "Finish a run that was cut short: run what is missing, keep what is there.",
    "run": "Run a scenario, in virtual time or on Linux itself, and show what came of it.",
    "schema": "Print the JSON Schema of scenario files, or of what callpath serve is asked and answers.",
    "serve": "Let programs in any language build networks and act on them: JSON lines over a socket.",
    "shell": "Open a shell on a node of a running lab.",
    "show": "Show what a run holds and came to, or a topology as it will be built.",
    "up": "Build a topology and keep it running, for other terminals to act on.",
}

HOMES: Final = {
    **dict.fromkeys(("cut", "heal", "impair", "reboot-nat", "reset"), "faults"),
    **dict.fromkeys(("exec", "shell"), "entering"),
}
"""The module of a command that does not have one of its own name; there it is `cut_command` and so on."""

EXIT_NOT_READY: Final = 4
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_READER_GONE: Final = 141
"""As a shell reports a program that SIGPIPE ended: no verdict's code, whatever was read of the output."""

HOST_FAULTS: Final = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE,
}  # fmt: skip
"""What the machine refuses a program that is in order: room, permission, open files."""


class LazyCommands(click.Group):
    """Commands whose modules are imported when they are used; help needs their names and one line alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        home = HOMES.get(cmd_name)
        module = importlib.import_module(f"lab.cli.{home or cmd_name}")
        command: click.Command = getattr(
            module, f"{cmd_name.replace('-', '_')}_command" if home else "command"
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was named, or suggest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' one-line help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(lab.__version__, prog_name="callpath")
def cli() -> None:
    """Run a calling scenario on a described network.

    Which path the media took, and whether the promise holds.
    """


def main() -> None:
    """Run the command line and exit with the code of DESIGN's table: see :mod:`lab.errors`."""
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: list[str]) -> int:
    """Run one command; return the exit code. Errors are told on standard error, never as a traceback."""
    try:
        result = cli.main(arguments, prog_name="callpath", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except CallpathError as error:
        click.echo(f"callpath: {error}", err=True)
        return error.exit_code
    except SystemExit:
        return EXIT_READER_GONE  # click leaves so, with its own code, where nobody reads the output any more
    except (KeyboardInterrupt, click.Abort):
        click.echo("callpath: interrupted", err=True)
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in HOST_FAULTS:
            return _internal(error)
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"callpath: {place}{error.strerror}", err=True)
        return EXIT_NOT_READY
    except Exception as error:  # noqa: BLE001 - whatever a fault of our own raises
        return _internal(error)
    return result if isinstance(result, int) else 0


def _internal(error: Exception) -> int:
    if os.environ.get("CALLPATH_TRACEBACK"):
        raise error
    click.echo(
        f"callpath: internal error: {type(error).__name__}: {error}\n"
        "  this is a fault of callpath; run again with CALLPATH_TRACEBACK=1 and report what it prints",
        err=True,
    )
    return EXIT_INTERNAL
