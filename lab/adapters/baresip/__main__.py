"""Start baresip, and stand between it and the lab: three threads listen, one acts on what they hear."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from lab.adapters.baresip.control import Answer, command, parse_control_untrusted
from lab.adapters.baresip.files import CONTROL_PORT, account_line, write_files
from lab.adapters.baresip.netstring import ControlError, NetstringReader
from lab.adapters.baresip.phone import Phone, RegistrationError
from lab.adapters.contract import Contract

PROGRAM: Final = "baresip"
CONTROL_SECONDS: Final = 20.0
"""In which baresip has to listen to its control channel; on an idle machine it takes a tenth of a second."""
_MODULES: Final = Path("/usr/lib/baresip/modules")
_PROXY_ROLE: Final = "sip_proxy"


class CannotBeError(Exception):
    """The phone cannot be what it is asked to be; the message says why."""


def main() -> int:
    """Serve the lab until it hangs up, or baresip ends; return the exit status."""
    lab = Contract()
    heard: queue.Queue[tuple[str, Any]] = queue.Queue()
    try:
        proxy, account = _account(lab)
        process = _start(lab)
        _listen(heard, "log", process.stdout or ())
        control = _connect(process, heard)
        _listen(heard, "lab", lab.messages())
        _listen(heard, "control", _payloads(control))
        phone = Phone(
            lab,
            lambda *words: control.sendall(command(*words)),
            proxy,
            media_nat=_media_nat(lab),
            hosts=[address for node in lab.setup["nodes"].values() for address in node["addresses"]],
        )
        lab.log(f"registering {lab.node} at {proxy}")
        control.sendall(command("uanew", account, "uanew"))
        return _serve(lab, phone, heard, process)
    except (CannotBeError, ControlError, RegistrationError, OSError) as error:
        lab.log(str(error))
        return 1


def _account(lab: Contract) -> tuple[str, str]:
    """Return the proxy's host and the account's line."""
    nodes = lab.setup["nodes"]
    proxies = [node["addresses"][0] for node in nodes.values() if node["role"] == _PROXY_ROLE]
    if not proxies:
        raise CannotBeError(f"{lab.node} is a SIP phone, and no node of the network has role {_PROXY_ROLE!r}")
    servers = {
        server["kind"]: server for server in reversed(lab.setup["servers"]) if server["transport"] == "udp"
    }
    server = servers.get("turn") or servers.get("stun")
    if server is not None:
        by_name = {node["name"]: node["addresses"][0] for node in nodes.values() if node["name"]}
        server = {**server, "host": by_name.get(server["host"], server["host"])}
    return proxies[0], account_line(lab.node, proxies[0], _media_nat(lab), server)


def _media_nat(lab: Contract) -> str:
    return str(lab.options.get("media_nat", "ice"))


def _start(lab: Contract) -> subprocess.Popen[str]:
    directory = Path(lab.setup["directory"])
    write_files(directory, lab.setup["addresses"][0], _MODULES)
    return subprocess.Popen(
        [PROGRAM, "-v", "-f", str(directory)],
        stdin=subprocess.PIPE,  # left open: its end would be a command to quit
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "HOME": str(directory)},
    )


def _connect(process: subprocess.Popen[str], heard: queue.Queue[tuple[str, Any]]) -> socket.socket:
    """Connect to the control channel once baresip listens."""
    limit = time.monotonic() + CONTROL_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", CONTROL_PORT))
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise CannotBeError(_last_words(process, heard)) from None
            if time.monotonic() > limit:
                raise CannotBeError(f"baresip does not take commands after {CONTROL_SECONDS:g} s") from None
            time.sleep(0.02)


def _last_words(process: subprocess.Popen[str], heard: queue.Queue[tuple[str, Any]]) -> str:
    said = []
    while (item := heard.get())[1] is not None:
        said.append(str(item[1]).rstrip())
    return "\n".join([*said, f"baresip ended with exit status {process.wait()}"])


def _payloads(control: socket.socket) -> Iterable[bytes]:
    reader = NetstringReader()
    while data := control.recv(1 << 16):
        yield from reader.feed_untrusted(data)


def _listen(heard: queue.Queue[tuple[str, Any]], source: str, items: Iterable[Any]) -> None:
    """Put each item on the queue, and at the end None, or the error that ended it."""

    def listen() -> None:
        end: Any = None
        try:
            for item in items:
                heard.put((source, item))
        except (OSError, ValueError) as error:
            end = error
        heard.put((source, end))

    threading.Thread(target=listen, daemon=True).start()


def _serve(
    lab: Contract, phone: Phone, heard: queue.Queue[tuple[str, Any]], process: subprocess.Popen[str]
) -> int:
    """Act on what is heard, one after the other; return the exit status."""
    take: dict[str, Callable[[Any], None]] = {
        "lab": phone.told, "log": _logged(lab, phone), "control": _controlled(phone),
    }  # fmt: skip
    while True:
        try:
            source, item = heard.get(timeout=phone.wait())
        except queue.Empty:
            phone.time_passed()
            continue
        if item is None and source == "lab":
            process.kill()
            return 0
        if source == "log" and item is None:
            raise CannotBeError(f"baresip ended with exit status {process.wait()}")
        if isinstance(item, Exception):
            raise CannotBeError(f"baresip's control channel: {item}")
        if item is not None:
            take[source](item)
        phone.time_passed()


def _logged(lab: Contract, phone: Phone) -> Callable[[str], None]:
    def take(line: str) -> None:
        lab.log(line.rstrip("\r\n"))
        phone.line(line)

    return take


def _controlled(phone: Phone) -> Callable[[bytes], None]:
    def take(payload: bytes) -> None:
        said = parse_control_untrusted(payload)
        if isinstance(said, Answer):
            phone.answered(said)
        else:
            phone.happened(said)

    return take


if __name__ == "__main__":
    sys.exit(main())
