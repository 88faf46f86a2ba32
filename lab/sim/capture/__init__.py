"""What was on the wire, as pcapng files: real bytes, virtual time, drops with their reasons."""

from __future__ import annotations

from lab.sim.capture.capture import Capture
from lab.sim.capture.ip import encode_ip

__all__ = ["Capture", "encode_ip"]
