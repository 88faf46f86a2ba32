"""The calling endpoint: ICE by a real library, signalling through the rendezvous, media both ways."""

from __future__ import annotations

from lab.roles.endpoint.config import EndpointConfig, TurnServers
from lab.roles.endpoint.endpoint import Endpoint

__all__ = ["Endpoint", "EndpointConfig", "TurnServers"]
