"""``callpath probe`` behind a box of a plane, against coturn with two addresses."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nat_bench import SERVER_ADDRESSES, Bench

from lab.emu.nat_planes import NatPlane, start_box
from lab.protocols.stun import MessageBuilder, MessageClass, Method
from nat_models import NatModel

COTURN = ("-L", SERVER_ADDRESSES[0], "-L", SERVER_ADDRESSES[1], "-p", "3478", "--alt-listening-port", "3479")
QUIET = ("-n", "-z", "-S", "--no-tls", "--no-dtls", "--no-cli", "--no-stdout-log", "--log-file", "/dev/null")
REQUEST = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12)).finish()


@contextlib.contextmanager
def coturn(bench: Bench, *options: str) -> Iterator[None]:
    """Run turnserver in the server's namespace; it answers when the block begins."""
    with tempfile.TemporaryDirectory() as place:
        files = ("--pidfile", f"{place}/pid", "--db", f"{place}/db")
        with bench.inside("server"):
            command = ["turnserver", *COTURN, *QUIET, *files, *options]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                _wait_for_answer()
                yield
            finally:
                process.kill()
                process.wait()


def _wait_for_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        for _ in range(100):
            with contextlib.suppress(OSError):
                probe.sendto(REQUEST, (SERVER_ADDRESSES[1], 3479))
                probe.recv(1500)
                return
            time.sleep(0.05)
    raise AssertionError("coturn does not answer")


def probe(
    plane: NatPlane, model: NatModel, arguments: tuple[str, ...], interrupt_at: str = ""
) -> dict[str, Any]:
    """Return exit code, both outputs and the preset that was written, of the command behind a new box.

    With ``interrupt_at`` it gets a SIGINT as soon as a line of its standard error holds that.
    """
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(Bench(addressed=plane is not NatPlane.ENGINE))
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        stack.callback(box.stop)
        served, done = threading.Event(), threading.Event()

        def serve() -> None:
            with coturn(bench):
                served.set()
                done.wait()

        with ThreadPoolExecutor(2) as pool:
            serving = pool.submit(serve)
            try:
                if not served.wait(15):
                    serving.result(0)
                return pool.submit(_command, bench, arguments, interrupt_at).result()
            finally:
                done.set()
                serving.result()


def _command(bench: Bench, arguments: tuple[str, ...], interrupt_at: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, bench.inside("h1"):
        command = [sys.executable, "-m", "lab.cli", "probe", SERVER_ADDRESSES[0], "--save", "field.yaml"]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=place,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if interrupt_at and interrupt_at in line:
                process.send_signal(signal.SIGINT)
                interrupt_at = ""
        out, _ = process.communicate()
        saved = Path(place, "field.yaml")
        text = saved.read_text() if saved.exists() else ""
        return {"code": process.returncode, "out": out, "err": "".join(told), "preset": text}


def probe_all(
    plane: NatPlane, models: list[NatModel], arguments: tuple[str, ...] = ("--pace", "0")
) -> list[dict[str, Any]]:
    """Return :func:`probe` of each model; four side by side, as each mostly waits."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda model: probe(plane, model, arguments), models))
