"""Start SIPp, once to answer and once for each load, and tell the lab what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.adapters.contract import Contract
from lab.adapters.sipp.scenarios import CALLEE, CALLER, REGISTRATION
from lab.adapters.sipp.statistics import (
    FigureError,
    Figures,
    parse_response_times_untrusted,
    parse_statistics_untrusted,
)

PROGRAM: Final = "sipp"
ANSWERING_PORT: Final = 5060
CALLING_PORT: Final = 5062
DEFAULTS: Final[Mapping[str, Any]] = {"calls": 100, "rate": 10, "hold": "0s", "through": "direct"}
LOOK_SECONDS: Final = 0.25
"""How often SIPp's files are looked into; it writes them once a second."""
START_SECONDS: Final = 20.0
"""In which SIPp has to listen, and a registration to succeed."""
PATIENCE_SECONDS: Final = 64
"""A load may take so much longer than planned: INVITE and BYE that nobody answers (RFC 3261 §17.1.1.2)."""
_MILLISECONDS: Final = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0}
_PROXY_ROLE: Final = "sip_proxy"
_ERROR_LINES: Final = 5
"""Of SIPp's errors, put into the run's logs."""


class SippError(Exception):
    """SIPp cannot do what it is asked to; the message says why."""


class Node:
    """This node: its SIPp that answers, and loads that it makes."""

    def __init__(self, lab: Contract) -> None:
        self._lab = lab
        self._address = str(lab.setup["addresses"][0])
        self._directory = Path(lab.setup["directory"])
        self._options = {**DEFAULTS, **lab.options}
        self._loads: dict[str, subprocess.Popen[str]] = {}

    # Answering

    def answer(self) -> None:
        """Begin to answer calls, registered at the proxy if calls are to come through it.

        Raises:
            SippError: it does not listen, or is not registered.
        """
        if self._options["through"] == "proxy":
            self._register()
        scenario = self._scenario("callee", CALLEE)
        process = self._start("answering", ["-sf", str(scenario), "-p", str(ANSWERING_PORT)])
        limit = time.monotonic() + START_SECONDS
        while not _listens(process.pid, ANSWERING_PORT):
            if process.poll() is not None:
                raise SippError(self._last_words("answering", process))
            if time.monotonic() > limit:
                raise SippError(f"SIPp does not listen on port {ANSWERING_PORT} after {START_SECONDS:g} s")
            time.sleep(0.02)
        threading.Thread(target=self._end_with, args=(process,), daemon=True).start()

    def _end_with(self, process: subprocess.Popen[str]) -> None:
        """End when SIPp does: a node that answers nobody is of no use."""
        process.wait()
        self._lab.log(self._last_words("answering", process))
        os._exit(1)

    def _register(self) -> None:
        scenario, began = self._scenario("registration", REGISTRATION), self._lab.now()
        proxy = self._proxy()
        process = self._start(
            "registering",
            [
                "-sf",
                str(scenario),
                "-p",
                str(ANSWERING_PORT),
                "-m",
                "1",
                "-s",
                self._lab.node,
                f"{_host(proxy)}:5060",
            ],
        )
        self._lab.log(f"registering {self._lab.node} at {proxy}")
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise SippError(f"no answer to REGISTER from {proxy} in {START_SECONDS:g} s") from None
        if process.returncode:
            raise SippError(self._last_words("registering", process))
        seconds = round(self._lab.now() - began, 6)
        self._lab.report("sip.registered", registrar=proxy, seconds=seconds)

    # Calling

    def call(self, name: str, to: str) -> None:
        """Make the calls of a load; a thread waits for their end."""
        target = self._proxy() if self._options["through"] == "proxy" else self._neighbour(to)
        calls, rate = int(self._options["calls"]), int(self._options["rate"])
        hold = _milliseconds(str(self._options["hold"]))
        limit = (calls // rate + hold // 1000) + PATIENCE_SECONDS
        words = [
            "-sf", str(self._scenario("caller", CALLER)), "-p", str(CALLING_PORT), "-s", to,
            "-m", str(calls), "-r", str(rate), "-d", str(hold),
            "-timeout", f"{limit}s", "-trace_rtt", "-rtt_freq", "1", f"{_host(target)}:5060",
        ]  # fmt: skip
        began = self._lab.now()
        process = self._loads[name] = self._start(name, words)
        threading.Thread(target=self._watch, args=(name, process, began), daemon=True).start()

    def hang_up(self, name: str) -> None:
        """Make no further calls; those that are going on come to their ends."""
        if name in self._loads:
            self._loads[name].send_signal(signal.SIGUSR1)

    def _watch(self, name: str, process: subprocess.Popen[str], began: float) -> None:
        rows = 0
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
            figures = self._figures(name)
            for row in figures[rows:]:
                self._lab.report(
                    "program.reported", name, what="load", calls=row.created, current=row.current,
                    completed=row.completed, failed=row.failed, retransmissions=row.retransmissions,
                )  # fmt: skip
            rows = len(figures)
        try:
            self._tell_outcome(name, process, began)
        except SippError as error:
            self._lab.log(str(error))
            self._lab.report("sip.failed", name, reason=str(error).splitlines()[-1])
            self._lab.report("call.ended", name, reason=str(error))

    def _tell_outcome(self, name: str, process: subprocess.Popen[str], began: float) -> None:
        figures = self._figures(name)
        if not figures or not figures[-1].created:
            raise SippError(self._last_words(name, process))
        last, now = figures[-1], self._lab.now()
        for path in self._directory.glob(f"{name}/*_rtt.csv"):
            for (second, took), count in sorted(parse_response_times_untrusted(_text(path)).items()):
                at = min(now, began + second + 1)
                self._lab.report("sip.answered", name, at=at, count=count, seconds=took / 1000)
        if last.completed:
            self._lab.report("sip.completed", name, count=last.completed)
        for reason, count in _reasons(last).items():
            self._lab.report("sip.failed", name, count=count, reason=reason)
        for line in self._errors(name):
            self._lab.log(line)
        words = f"{last.created} calls: {last.completed} completed, {last.failed} failed"
        self._lab.report("call.ended", name, reason=words)

    # SIPp's files and processes

    def _scenario(self, part: str, text: str) -> Path:
        """Return the file of a part's scenario: the user's own, or the one that ships."""
        own = self._options.get(f"{part}_scenario")
        if own is not None:
            if not Path(own).is_file():
                raise SippError(f"{part}_scenario: there is no file {own}")
            return Path(own)
        path = self._directory / f"{part}.xml"
        path.write_text(text, encoding="utf-8")
        return path

    def _start(self, name: str, words: list[str]) -> subprocess.Popen[str]:
        place = self._directory / name
        place.mkdir(exist_ok=True)
        common = [
            "-i", self._address, "-nostdin", "-trace_err", "-error_file", "errors.txt",
            "-trace_stat", "-stf", "figures.csv", "-fd", "1",
        ]  # fmt: skip
        with (place / "said.txt").open("w") as output:
            return subprocess.Popen(
                [PROGRAM, *words, *common], cwd=place, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    def _figures(self, name: str) -> list[Figures]:
        try:
            return parse_statistics_untrusted(_text(self._directory / name / "figures.csv"))
        except FigureError as error:
            self._lab.log(str(error))
            return []

    def _errors(self, name: str) -> list[str]:
        return _text(self._directory / name / "errors.txt").strip().splitlines()[:_ERROR_LINES]

    def _last_words(self, name: str, process: subprocess.Popen[str]) -> str:
        said = (
            self._errors(name)
            or _text(self._directory / name / "said.txt").strip().splitlines()[-_ERROR_LINES:]
        )
        return "\n".join([*said, f"SIPp ended with exit status {process.returncode}"])

    # Other nodes

    def _neighbour(self, name: str) -> str:
        return str(self._lab.setup["nodes"][name]["addresses"][0])

    def _proxy(self) -> str:
        nodes = self._lab.setup["nodes"].values()
        proxies = [str(node["addresses"][0]) for node in nodes if node["role"] == _PROXY_ROLE]
        if not proxies:
            raise SippError(f"calls are to go through a proxy, and no node has role {_PROXY_ROLE!r}")
        return proxies[0]


def _reasons(last: Figures) -> dict[str, int]:
    """Return why calls failed; those of which SIPp gives no reason are "unknown"."""
    rest = last.failed - sum(last.reasons.values())
    return {**last.reasons, **({"unknown": rest} if rest > 0 else {})}


def _milliseconds(duration: str) -> int:
    """Return a duration of a scenario file, ``500ms`` or ``2s``, as SIPp takes it."""
    number = duration.rstrip("µabcdefghijklmnopqrstuvwxyz ")  # the lab has checked it
    return round(float(number) * _MILLISECONDS.get(duration.removeprefix(number).strip(), 0.0))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _listens(process: int, port: int) -> bool:
    """Whether a process of this network has a UDP socket at a port."""
    own = set()
    for descriptor in Path(f"/proc/{process}/fd").glob("*"):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            own.add(str(descriptor.readlink()))
    tables = (Path("/proc/self/net/udp"), Path("/proc/self/net/udp6"))
    rows = [line.split() for table in tables for line in _text(table).splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in own for row in rows)


def main() -> int:
    """Serve the lab until it hangs up; return the exit status."""
    lab = Contract()
    node = Node(lab)
    try:
        node.answer()
        lab.ready()
        for message in lab.messages():
            if message.get("command") == "dial":
                node.call(str(message["call"]), str(message["to"]))
            elif message.get("command") == "hang-up":
                node.hang_up(str(message["call"]))
    except (SippError, OSError) as error:
        lab.log(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
