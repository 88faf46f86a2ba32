"""Chromium as an endpoint: a page with an RTCPeerConnection, driven over the browser's debugging pipe.

The page is ``chromium.js``: it makes the calls and says what becomes of them. This program starts the browser
with a profile and a home of its own, in which the lab's certificate authority is trusted, hands commands to
the page and its words to the lab. The pipe (descriptors 3 and 4) needs no port, and the browser ends with it.

Options: ``trickle`` (true), ``audio`` (true: a microphone that beeps), ``trust`` (true: whether it trusts the
lab's authority), ``flags`` (more of the command line's).
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.adapters.contract import Contract

PROGRAM = "chromium"
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # its sandbox is made of namespaces, which root has to give it; the run has its own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
    "--log-level=3",  # it complains of every desktop service that a namespace has not
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # Host candidates of every interface, with their addresses and not with names of multicast DNS.
    "--force-webrtc-ip-handling-policy=default",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--remote-debugging-pipe",
)
ANSWERS_WITHIN = 60.0
"""Seconds that one command to the browser may take."""
CLOCK_READINGS = 20


class Browser:
    """One Chromium process with one page.

    Args:
        directory: for its profile and home.
        page: the file that it shows.
        flags: more of the command line's.
    """

    def __init__(self, directory: Path, page: Path, flags: tuple[str, ...] = ()) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        to_browser, from_browser = _above_nine(to_browser), _above_nine(from_browser)
        program = shutil.which(PROGRAM) or PROGRAM
        words = [program, *FLAGS, *flags, f"--user-data-dir={directory / 'profile'}", page.as_uri()]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),  # standard output is for the contract
            (os.POSIX_SPAWN_DUP2, to_browser, 3),
            (os.POSIX_SPAWN_DUP2, from_browser, 4),
        ]
        os.posix_spawn(program, words, {**os.environ, "HOME": str(directory)}, file_actions=actions)
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._session: str | None = None
        self._lock = threading.Lock()

    def tell(self, method: str, **parameters: Any) -> queue.Queue[dict[str, Any]]:
        """Send a command of the DevTools protocol; the queue gets the answer."""
        number = next(self._numbers)
        answer = self._answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        with self._lock:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        return answer

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result.

        Raises:
            RuntimeError: the browser refuses it, or has ended.
            queue.Empty: no answer has come in time.
        """
        answer = self.tell(method, **parameters).get(timeout=ANSWERS_WITHIN)
        if "result" not in answer:
            raise RuntimeError(f"{method}: {answer.get('error', 'the browser has ended')}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of the page's, awaited.

        Raises:
            RuntimeError: it throws, or the page is going.
        """
        result = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def open_page(self) -> None:
        """Attach to the page and wait until it is loaded."""
        for _ in range(int(ANSWERS_WITHIN / 0.05)):
            targets = self.ask("Target.getTargets")["targetInfos"]
            pages = [target for target in targets if target["type"] == "page"]
            if pages:
                break
            time.sleep(0.05)
        self._session = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)[
            "sessionId"
        ]
        self.ask("Runtime.enable")
        self.ask("Runtime.addBinding", name="callpath")
        while self.evaluate("document.readyState + typeof hear") != "completefunction":
            time.sleep(0.02)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield events of the browser until it ends; answers go where they are waited for."""
        buffer = b""
        while data := os.read(self._read, 1 << 16):
            *messages, buffer = (buffer + data).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                else:
                    yield message
        for answer in self._answers.values():
            answer.put({})


def _above_nine(descriptor: int) -> int:
    """Return a copy of a descriptor with a number of two digits: 3 and 4 are to become others."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy


def trust(authority: str, home: Path) -> None:
    """Let programs with this home trust a certificate authority, by the store of NSS that Chromium reads."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True, exist_ok=True)
    for words in (["-N", "--empty-password"], ["-A", "-n", "callpath", "-t", "C,,", "-i", authority]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *words], check=True, stdout=sys.stderr)


def write_page(directory: Path) -> Path:
    """Write the page that the browser opens; a file is a secure context, which microphones want."""
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    page = directory / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><script>{script}</script>", encoding="utf-8")
    return page


def wall_clock_at_zero(lab: Contract) -> float:
    """Return what the wall clock shows when the trial's is zero; from the quickest of some readings.

    The page's clock, ``performance.timeOrigin + performance.now()``, is the browser's reading of the wall
    clock when it began, carried on by the monotonic one.
    """
    readings: list[tuple[float, float]] = []
    for _ in range(CLOCK_READINGS):
        before, wall, after = lab.now(), time.time(), lab.now()
        readings.append((after - before, wall - (before + after) / 2))
    return min(readings)[1]


def pass_on(browser: Browser, lab: Contract) -> None:
    """Tell the lab what the page says, until the browser ends; then end."""
    for message in browser.messages():
        method, parameters = message["method"], message.get("params", {})
        if method == "Runtime.bindingCalled":
            lab.say(json.loads(parameters["payload"]))
        elif method == "Runtime.exceptionThrown":
            lab.log(f"the page: {_thrown(parameters['exceptionDetails'])}")
        elif method == "Inspector.targetCrashed":
            lab.log("the page has crashed")
            os._exit(1)
    lab.log("Chromium has ended")
    os._exit(1)


def _thrown(details: Mapping[str, Any]) -> str:
    return str(details.get("exception", {}).get("description", details["text"]))


def main() -> None:
    """Serve the lab until it hangs up."""
    lab = Contract()
    # Anew each time it is started: the last life's may be locked, and is no part of this one.
    directory = Path(tempfile.mkdtemp(dir=lab.setup["directory"]))
    if lab.options.get("trust", True):
        trust(lab.setup["ca_file"], directory)
    browser = Browser(directory, write_page(directory), tuple(shlex.split(lab.options.get("flags", ""))))
    threading.Thread(target=pass_on, args=(browser, lab), daemon=True).start()
    browser.open_page()
    browser.evaluate(f"start({json.dumps(lab.setup)}, {wall_clock_at_zero(lab)})")
    lab.ready()
    for message in lab.messages():
        browser.tell("Runtime.evaluate", expression=f"hear({json.dumps(message)}); 0")


if __name__ == "__main__":
    main()
