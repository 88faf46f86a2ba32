"""``callpath capture NODE -w FILE``: what a node of a running lab sees."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lab.cli.running import LAB_OPTION, connected
from lab.spec.trial import KERNEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.serve.client import Client


@click.command("capture")
@click.argument("node")
@click.option("-w", "file", required=True, metavar="FILE", help="Where to write it; - is standard output.")
@LAB_OPTION
def command(node: str, file: str, lab_name: str) -> None:
    """Write what a node's interfaces see as pcapng: `callpath capture alice -w - | wireshark -k -i -`.

    In virtual time that is what they saw until now. In the kernel world it is what they see from now on,
    packet by packet, until Ctrl-C or the lab's end.
    """
    with connected(lab_name) as (client, name):
        (about,) = [lab for lab in client.hello["labs"] if lab["lab"] == name]
        if about["world"] != KERNEL:
            _write_past(client, name, node, file)
            return
        way = client.ask("enter", lab=name, node=node)
    with _opened(file) as output, contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _stream(way, output)


def _write_past(client: Client, lab: str, node: str, file: str) -> None:
    if file != "-":
        client.ask("capture", lab=lab, nodes=[node], file=str(Path(file).absolute()))
        return
    with tempfile.NamedTemporaryFile() as written:
        client.ask("capture", lab=lab, nodes=[node], file=written.name)
        sys.stdout.buffer.write(Path(written.name).read_bytes())


def _opened(file: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if file == "-":
        return contextlib.nullcontext(sys.stdout.buffer)
    return Path(file).open("wb")


def _stream(way: Mapping[str, Any], output: BinaryIO) -> None:
    from lab.emu.captures.live_capture import LiveInterface, stream_capture

    interfaces = [LiveInterface(**interface) for interface in way["interfaces"]]
    stream_capture(way["pid"], way["node"], interfaces, output)
