"""``callpath ls``: what there is to run, to build and to name."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from nat_models import NatModel

KINDS: Final = ("scenarios", "topologies", "presets")


@click.command("ls")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List scenarios, topologies and NAT presets: yours first, then those that ship."""
    for number, name in enumerate([kind] if kind else KINDS):
        rows = _presets() if name == "presets" else _content(name)
        width = max((len(row) for row, _ in rows), default=0)
        click.echo(f"{'' if number == 0 else chr(10)}{name}:")
        for row, words in rows:
            click.echo(f"  {row:<{width}}  {words}".rstrip())


def _content(kind: str) -> list[tuple[str, str]]:
    from lab.spec.find import content_names

    endings = (".py", ".yaml") if kind == "scenarios" else (".py",)
    files = [item for ending in endings for item in content_names(kind, ending).items()]
    return sorted((name, _first_line(path)) for name, path in files)


def _first_line(path: Path) -> str:
    """Return what a file says about itself in its first line, without running it; or that it is broken."""
    from lab.errors import UsageError
    from lab.spec.yaml_loader import load_yaml

    try:
        if path.suffix == ".yaml":
            words = str(load_yaml(path).value.get("description", ""))
        else:
            words = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except (UsageError, SyntaxError, ValueError, OSError):
        return f"(cannot be read: {path})"
    return words.strip().partition("\n")[0]


def _presets() -> list[tuple[str, str]]:
    from nat_models import presets
    from nat_models.presets import own_preset_files

    own = [(name, _own_preset(path)) for name, path in own_preset_files().items()]
    return own + [(name, _axes(model)) for name, model in presets().items()]


def _own_preset(path: Path) -> str:
    from nat_models import NatModelError
    from nat_models.presets import load_preset

    try:
        return _axes(load_preset(f"./{path}"))
    except NatModelError:
        return f"(cannot be read: {path})"


def _axes(model: NatModel) -> str:
    return f"mapping {model.mapping.value}, filtering {model.filtering.value}"
