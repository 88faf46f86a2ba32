"""``callpath serve``: labs for programs in any language."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import socket
from contextlib import closing
from pathlib import Path

import click


@click.command("serve")
@click.option(
    "--unix", "path", type=click.Path(path_type=Path, dir_okay=False),
    help="A Unix socket to listen on; else one in this user's runtime directory.",
)  # fmt: skip
@click.option("--tcp", "address", metavar="HOST:PORT", help="A loopback address to listen on; port 0: any.")
@click.option(
    "--end-with-stdin", "ends_with_stdin", is_flag=True,
    help="End when standard input does: a server that another program starts ends with it.",
)  # fmt: skip
def command(path: Path | None, address: str | None, ends_with_stdin: bool) -> int:
    """Serve labs to other programs until Ctrl-C, or until a client asks for the end.

    One JSON object a line, both ways. The first line on standard output is one, too: where the server
    listens and, for TCP, the token that each connection must give first; CALLPATH_TOKEN chooses it.
    """
    from lab.cli.serving import serve

    if path is not None and address is not None:
        raise click.UsageError("--unix or --tcp, not both")
    if address is not None:
        token = os.environ.get("CALLPATH_TOKEN") or secrets.token_urlsafe(16)
        with closing(_listen_on_loopback(address)) as listening:
            host, port = listening.getsockname()[:2]
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            where = {"tcp": shown, "token": token}
            return serve(listening, token=token, ready=lambda: _say(where), ends_with_stdin=ends_with_stdin)
    return _serve_unix(path, ends_with_stdin=ends_with_stdin)


def _serve_unix(path: Path | None, *, ends_with_stdin: bool) -> int:
    from lab.cli.serving import serve
    from lab.cli.up import free_place
    from lab.serve.places import listen

    place = path or free_place("", "serve")
    with closing(listen(place)) as listening:
        try:
            return serve(listening, ready=lambda: _say({"unix": str(place)}), ends_with_stdin=ends_with_stdin)
        finally:
            place.unlink(missing_ok=True)


def _say(where: dict[str, str]) -> None:
    click.echo(json.dumps(where))


def _listen_on_loopback(address: str) -> socket.socket:
    """Return a socket that listens on a loopback address.

    Raises:
        UsageError: it is none: who may connect may run programs as this user.
        HostNotReady: the address or the port cannot be had.
    """
    from lab.errors import HostNotReady, Problem, UsageError

    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        is_loopback, number = ipaddress.ip_address(host).is_loopback, int(port)
    except ValueError:
        is_loopback, number = False, -1
    if not is_loopback or not 0 <= number <= 65_535:
        found = "who may connect may run programs as you"
        raise UsageError(Problem(f"--tcp {address}", found, "a loopback address such as 127.0.0.1:0"))
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, number))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise HostNotReady(f"--tcp {address}: {error.strerror}") from None
    return listening
