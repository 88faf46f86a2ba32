"""Kernel settings of a box: values below ``/proc/sys/net``, which each network namespace has of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nat_models.model import Lifetimes, NatModel, TcpBehaviour

PLACE: Final = Path("/proc/sys/net")

ROUTER: Final[Mapping[str, str]] = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    # A hairpinned packet leaves by the device it came in by, which a router would report to its sender.
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    # Inside and outside may have the same prefix (RFC 4787 REQ-7); the wiring says what belongs where.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # One error for each packet, as the model sends them: the default is one a second for each sender.
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}


def connection_tracking(model: NatModel) -> dict[str, str]:
    """Return the timers of connection tracking, in whole seconds, as its settings take them."""
    lifetimes = model.lifetimes
    return {
        f"netfilter/nf_conntrack_{name}": str(max(1, math.floor(value)))
        for name, value in {
            "udp_timeout": lifetimes.unreplied,
            "udp_timeout_stream": lifetimes.udp,
            "icmp_timeout": lifetimes.icmp,
            "icmpv6_timeout": lifetimes.icmp,
            **_tcp(lifetimes, model.tcp),
        }.items()
    } | {"netfilter/nf_conntrack_tcp_loose": str(int(model.tcp.pick_up))}


def _tcp(lifetimes: Lifetimes, tcp: TcpBehaviour) -> dict[str, float]:
    opening_and_closing = ("syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack", "time_wait")
    timers = {f"tcp_timeout_{stage}": lifetimes.tcp_transitory for stage in opening_and_closing}
    return {
        **timers,
        "tcp_timeout_established": lifetimes.tcp_established,
        "tcp_timeout_close": tcp.rst_hold,
        # A segment that nobody acknowledges would otherwise end a session after five minutes.
        "tcp_timeout_max_retrans": lifetimes.tcp_established,
        "tcp_timeout_unacknowledged": lifetimes.tcp_established,
    }


def write_settings(settings: Mapping[str, str], *, leave_out_unknown: bool = False) -> None:
    """Write settings in the namespace that the calling thread is in.

    Args:
        settings: values by their path below ``/proc/sys/net``.
        leave_out_unknown: none is needed by itself, so one that this kernel does not have is left out.

    Raises:
        OSError: this kernel has no such setting, or does not take the value.
    """
    for name, value in settings.items():
        try:
            (PLACE / name).write_text(value, encoding="ascii")
        except FileNotFoundError:
            if not leave_out_unknown:
                raise
