"""A phone without NAT traversal: its media goes from its own address to the other's own address, or nowhere.

The shortest endpoint that there is, and an example of the contract. Each side tells the other ``host:port``
of a UDP socket in place of a session description. It selects that pair once a packet of the other's has come;
behind a NAT none does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import Any

from lab.adapters.contract import Contract

TRY_SECONDS = 5.0
TRY_EVERY = 0.1


class Call:
    """One side of one call: a socket, and a thread that reads it."""

    def __init__(self, lab: Contract, settings: dict[str, Any]) -> None:
        self.lab, self.name, self.media = lab, settings["call"], settings["media"]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((lab.setup["addresses"][0], 0))
        self.is_heard = threading.Event()
        self.own = f"{self.socket.getsockname()[0]}:{self.socket.getsockname()[1]}"
        lab.report("ice.gathered", self.name, types=["host"], candidates=1, seconds=0.0)

    def connect(self, theirs: str) -> None:
        """Begin to talk to the other side."""
        host, _, port = theirs.rpartition(":")
        self.socket.connect((host, int(port)))
        threading.Thread(target=self._listen, args=(theirs,), daemon=True).start()
        threading.Thread(target=self._talk, daemon=True).start()

    def _talk(self) -> None:
        """Knock until the other is heard, then send the media."""
        for _ in range(int(TRY_SECONDS / TRY_EVERY)):
            with contextlib.suppress(OSError):  # nobody may listen yet, or no more
                self.socket.send(json.dumps({"call": self.name}).encode())
            if self.is_heard.wait(TRY_EVERY):
                break
        else:
            self.lab.report("ice.failed", self.name, reason="nothing was heard of the other side")
            return
        self.send_media(self.media)

    def send_media(self, media: dict[str, Any]) -> None:
        """Send datagrams that carry their number and time."""
        for sequence in range(media["packets"]):
            packet = json.dumps({"call": self.name, "sequence": sequence, "sent": self.lab.now()}).encode()
            with contextlib.suppress(OSError):
                self.socket.send(packet.ljust(media["size"]))
                self.lab.report("media.sent", self.name, sequence=sequence, bytes=media["size"])
            time.sleep(media["interval"])

    def _listen(self, theirs: str) -> None:
        while True:
            try:
                data = self.socket.recv(65_536)
            except ConnectionRefusedError:
                continue
            except OSError:
                return
            if not self.is_heard.is_set():
                local, remote = ({"type": "host", "address": address} for address in (self.own, theirs))
                self.lab.report("ice.selected", self.name, local=local, remote=remote)
                self.lab.report("ice.connected", self.name)
                self.is_heard.set()
            if "sequence" in (packet := json.loads(data)):
                delay = self.lab.now() - packet["sent"]
                number, size = packet["sequence"], len(data)
                self.lab.report("media.received", self.name, sequence=number, bytes=size, delay=delay)

    def close(self) -> None:
        """Free the socket."""
        self.socket.close()
        self.lab.report("call.ended", self.name, reason="hung up")


def main() -> None:
    """Serve the lab until it hangs up."""
    lab = Contract()
    calls: dict[str, Call] = {}
    prepared: dict[str, dict[str, Any]] = {}
    lab.ready()
    for message in lab.messages():
        signal = message.get("signal", {})
        name = message.get("call") or signal["call"]
        if message.get("command") == "answer":
            prepared[name] = message
        elif message.get("command") == "dial":
            calls[name] = Call(lab, message)
            lab.signal("offer", to=message["to"], call=name, sdp=calls[name].own)
        elif message.get("command") == "send-media":
            threading.Thread(target=calls[name].send_media, args=(message["media"],), daemon=True).start()
        elif message.get("command") == "hang-up" and name in calls:
            calls.pop(name).close()
        elif signal.get("kind") == "offer":
            calls[name] = Call(lab, prepared[name])
            lab.signal("answer", to=signal["sender"], call=name, sdp=calls[name].own)
            calls[name].connect(signal["sdp"])
        elif signal.get("kind") == "answer":
            calls[name].connect(signal["sdp"])


if __name__ == "__main__":
    main()
