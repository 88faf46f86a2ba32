"""Chromium without a window, driven over its debugging pipe: no port, no network, a profile of its own."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root in a container has no user namespace to give it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
ANSWERS_WITHIN = 60
"""Seconds that one command may take."""


def _above_nine(descriptor: int) -> int:
    """Return a copy of a file descriptor with a number of two digits, and close the original."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return copy


class Browser:
    """One Chromium process with one page."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="callpath-chromium-")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4, so no pipe may be one of them before.
        to_browser, from_browser = _above_nine(to_browser), _above_nine(from_browser)
        program = ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', "chromium", *FLAGS]
        self._process = subprocess.Popen(
            [*program, f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.events: list[dict] = []
        (target,) = (t for t in self._send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the process and remove its profile."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self._profile, ignore_errors=True)

    def send(self, method: str, **parameters):
        """Do one command of the DevTools protocol in the page and return its result."""
        return self._send(method, self._session, **parameters)

    def _send(self, method: str, session: str = "", **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") != number:
                self.events.append(answer)
                continue
            assert "error" not in answer, f"{method}: {answer['error']}"
            return answer["result"]

    def _message(self) -> dict:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], ANSWERS_WITHIN)
            assert ready, f"Chromium said nothing for {ANSWERS_WITHIN} s"
            received = os.read(self._read, 1 << 20)
            assert received, "Chromium ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, fragment: str = "") -> float:
        """Open a file and wait until it is loaded; return how many seconds that took."""
        self._load("about:blank")  # only a fragment that differs would be no new page
        started = time.perf_counter()
        self._load(path.as_uri() + fragment)
        # Two frames later everything that loading set off is laid out and painted.
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.perf_counter() - started

    def _load(self, address: str) -> None:
        """Go to a page and wait for its own end of loading; what happened before is forgotten."""
        self.events.clear()
        self.send("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._message())

    def run(self, expression: str):
        """Return the JSON value of a JavaScript expression, or of what the promise that it is comes to."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def emulate(self, *, media: str = "", scheme: str = "light", width: int = 1280) -> None:
        """Show the page as on paper (``media="print"``), in a colour scheme, in a window of some width."""
        self.send(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for since it was opened, its own among them."""
        self.run("0")  # what was under way has come in
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what the page wrote to the console, and errors, since it was opened."""
        self.run("0")
        found = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(event["params"])[:500] for event in self.events if event["method"] in found]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture (PNG) of the page, or of its window alone."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def print(self, path: Path) -> None:
        """Write the page as it would be printed (PDF)."""
        data = self.send("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"]
        path.write_bytes(base64.b64decode(data))
