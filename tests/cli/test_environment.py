"""docs/environment.md lists every environment variable that an option is read from, and none else."""

import re
from pathlib import Path

import click

from lab.cli.main import COMMANDS, cli

PAGE = Path(__file__).parents[2] / "docs" / "environment.md"
ROW = re.compile(r"^\| `(CALLPATH_\w+)` \| `(--[\w-]+)` \|", re.MULTILINE)


def options(command: click.Command) -> set[tuple[str, str]]:
    found = {(str(o.envvar), o.opts[0]) for o in command.params if o.envvar}
    for below in getattr(command, "commands", {}).values():
        found |= options(below)
    return found


def test_the_page_names_each_variable_with_its_option():
    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    read = set().union(*map(options, commands))
    assert set(ROW.findall(PAGE.read_text(encoding="utf-8"))) == read
