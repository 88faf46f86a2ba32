"""What baresip reads: its configuration, an account of no use to it at the start, and no contacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

CONTROL_PORT: Final = 4444
"""Of ctrl_tcp, on the loopback device of the node's own network."""
SIP_PORT: Final = 5060
REGISTER_SECONDS: Final = 25
"""A registration's life; it is renewed at nine tenths of it, which keeps a NAT's mapping of half a minute."""

MEDIA_NATS: Final = ("ice", "turn", "none")
"""How media passes NATs: by ICE, always by the relay, or not at all."""

_MODULES: Final = ("g711.so", "ausine.so", "ice.so", "stun.so", "turn.so")


def write_files(directory: Path, address: str, modules: Path) -> None:
    """Write the files of a phone with that address."""
    (directory / "config").write_text(configuration_text(address, modules), encoding="ascii")
    (directory / "accounts").write_text("\n", encoding="ascii")  # it is given when baresip is listened to
    (directory / "contacts").write_text("", encoding="ascii")


def configuration_text(address: str, modules: Path) -> str:
    """Return a configuration of baresip 1.0.0, without sound card, screen or keyboard."""
    host = f"[{address}]" if ":" in address else address
    lines = (
        "poll_method epoll",
        f"sip_listen {host}:{SIP_PORT}",
        "call_max_calls 1",
        "audio_player none",
        "audio_alert none",
        "audio_source ausine,440",
        "ausrc_srate 48000",
        "ausrc_channels 2",
        "rtp_stats yes",
        "rtcp_mux yes",
        f"module_path {modules}",
        *(f"module {module}" for module in _MODULES),
        "module_tmp account.so",
        "module_app menu.so",
        "module_app ctrl_tcp.so",
        f"ctrl_tcp_listen 127.0.0.1:{CONTROL_PORT}",
        "statmode_default off",
        "ringback_disabled yes",
        "ice_debug yes",
        "",
    )
    return "\n".join(lines)


def account_line(user: str, proxy: str, media_nat: str, server: Mapping[str, Any] | None) -> str:
    """Return an account: who it is, where it registers, how its media passes NATs.

    Args:
        user: the user's name.
        proxy: the address of the SIP proxy.
        media_nat: one of :data:`MEDIA_NATS`.
        server: the STUN or TURN server, as the contract tells of it, with its address as ``host``.
    """
    host = f"[{proxy}]" if ":" in proxy else proxy
    parts = [
        f"<sip:{user}@{host}>", f"regint={REGISTER_SECONDS}", "audio_codecs=PCMU", "answermode=auto",
    ]  # fmt: skip
    if media_nat != "none" and server is not None:
        parts += [
            f"medianat={media_nat}",
            f"stunserver={server['kind']}:{server['host']}:{server['port']}",
            f"stunuser={server['username']}",
            f"stunpass={server['password']}",
        ]
    return ";".join(parts)
