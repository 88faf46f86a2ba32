"""A TURN and STUN server as pure functions of bytes and time; see :mod:`lab.protocols.turn_server.server`."""

from lab.protocols.turn_server.actions import (
    Action,
    Allocated,
    CloseClient,
    CloseRelayPort,
    Dropped,
    Ended,
    Expired,
    FiveTuple,
    OpenRelayPort,
    Refused,
    SendFromRelay,
    SendToClient,
)
from lab.protocols.turn_server.config import PermissionKey, PermissionRefresh, RelayConfig, Transport
from lab.protocols.turn_server.server import TurnServer

__all__ = [
    "Action",
    "Allocated",
    "CloseClient",
    "CloseRelayPort",
    "Dropped",
    "Ended",
    "Expired",
    "FiveTuple",
    "OpenRelayPort",
    "PermissionKey",
    "PermissionRefresh",
    "Refused",
    "RelayConfig",
    "SendFromRelay",
    "SendToClient",
    "Transport",
    "TurnServer",
]
