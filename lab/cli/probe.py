"""``callpath probe HOST[:PORT]``: what is between this machine and a STUN server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from lab.protocols.behaviour_discovery import Classification
    from lab.run.field_probe import FieldProbe, FieldProbeOptions

EXIT_INCONCLUSIVE: Final = 3
EXIT_INTERRUPTED: Final = 130
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command("probe")
@click.argument("server", metavar="HOST[:PORT]")
@click.option(
    "--lifetime", metavar="LONGEST", help="Search how long mappings live too, up to this, such as 10min."
)
@click.option("--resolution", default="5s", show_default=True, help="How exactly lifetimes are searched.")
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="NAME.yaml", help="Write it as a NAT preset."
)
@click.option("--force", is_flag=True, help="Let --save replace a file.")
@click.option(
    "--pace", default="100ms", show_default=True, help="Least time between requests; 0 for a server of yours."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    server: str,
    lifetime: str | None,
    resolution: str,
    save: Path | None,
    force: bool,
    pace: str,
    as_json: bool,
) -> int:
    """Find out what the NATs between this machine and a STUN server do.

    The server should have two addresses (RFC 5780); of one that has not is said what cannot be told. Requests
    are sent from sockets of this machine, ten a second, for about half a minute; with --lifetime for a few
    times the lifetime that is found. Ctrl-C ends that and keeps what was found.

    Exit status 0 if the path was classified, 3 if not, 4 if the server cannot be resolved or has no route.
    """
    from lab.run.field_probe import FieldProbe, resolve_server

    options = _options(lifetime, resolution, pace)
    if save is not None:
        _check_target(save, force=force)
    probe = FieldProbe(server=resolve_server(server), options=options, tell=_tell)
    _tell(f"asking {probe.server[0]}, up to a minute" + (", then lifetimes" if lifetime else ""))
    complaint = _run(probe)
    if probe.findings is None or not probe.findings.reachable:
        return _nothing_found(complaint, as_json=as_json)
    return _conclude(probe, complaint, server, save, as_json=as_json)


def _options(lifetime: str | None, resolution: str, pace: str) -> FieldProbeOptions:
    from lab.errors import Problem, UsageError
    from lab.run.field_probe import FieldProbeOptions
    from lab.units import parse_duration

    longest = None if lifetime is None else parse_duration(lifetime, "--lifetime")
    exact = parse_duration(resolution, "--resolution")
    if exact <= 0 or (longest is not None and longest <= exact):
        raise UsageError(Problem("--lifetime", "no longer than --resolution", "more than it, and it above 0"))
    return FieldProbeOptions(longest_lifetime=longest, resolution=exact, pace=parse_duration(pace, "--pace"))


def _check_target(path: Path, *, force: bool) -> None:
    """Refuse before anything is probed what could not be written or found afterwards."""
    from lab.errors import Problem, UsageError
    from nat_models.presets import aliases, preset_names

    expected = "a file to write, ending in .yaml, in a directory that exists"
    if path.suffix != ".yaml" or not _NAME.fullmatch(path.stem):
        raise UsageError(Problem("--save", f"{str(path)!r} names no preset file", expected))
    if not path.parent.is_dir():
        raise UsageError(Problem("--save", f"no directory {str(path.parent)!r}", expected))
    if path.stem in preset_names() or path.stem in aliases():
        raise UsageError(Problem("--save", f"{path.stem!r} is a preset that ships", "a name of its own"))
    if path.exists() and not force:
        raise UsageError(Problem("--save", f"{str(path)!r} exists", "another name, or --force"))


def _run(probe: FieldProbe) -> tuple[int, str]:
    """Run the probe; return the exit code and the complaint of what cut it short, if anything did."""
    import asyncio

    from lab.errors import TrialInvalid

    try:
        asyncio.run(probe.run())
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED, "interrupted"
    except TrialInvalid as error:
        return error.exit_code, str(error)
    return 0, ""


def _nothing_found(complaint: tuple[int, str], *, as_json: bool) -> int:
    code, words = complaint
    if as_json:
        click.echo(json.dumps({"reachable": False, "classified": False, "complaint": words}, indent=2))
    click.echo(f"callpath: {words}", err=True)
    return code


def _conclude(
    probe: FieldProbe, complaint: tuple[int, str], server: str, save: Path | None, *, as_json: bool
) -> int:
    """Print, and save where it was classified; return the exit code."""
    from lab.cli.probe_text import as_data, as_text
    from lab.protocols.behaviour_discovery import classify, is_classifiable

    assert probe.findings is not None, "something was found"
    name = save.stem if save else "this-path"
    found = classify(probe.findings, name, probe.bounds)
    classified = is_classifiable(probe.findings)
    if as_json:
        click.echo(json.dumps(as_data(probe, found, classified=classified), indent=2))
    else:
        click.echo(as_text(probe, found, classified=classified))
    code, words = complaint
    if words:
        click.echo(f"callpath: {words}; what was found until then is kept", err=True)
    if save is not None and classified:
        _save(found, probe, server, save)
    elif save is not None:
        click.echo(f"callpath: {save} is not written: mapping and filtering are not settled", err=True)
    return code or (0 if classified else EXIT_INCONCLUSIVE)


def _save(found: Classification, probe: FieldProbe, server: str, path: Path) -> None:
    from lab.cli.probe_text import with_sources
    from nat_models.model_writer import write_model

    path.write_text(write_model(with_sources(found, probe, server)), encoding="utf-8")
    use = path.stem if path.parent.resolve() == Path("nat_models").resolve() else f"./{path}"
    use = str(path) if path.is_absolute() else use
    click.echo(f"{path} is written: nat={use!r} in a topology, callpath predict {use} symmetric", err=True)


def _tell(words: str) -> None:
    click.echo(f"probe: {words}", err=True)
