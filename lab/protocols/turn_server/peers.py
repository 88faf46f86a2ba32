"""Who may send to an allocation, and by what: CreatePermission and ChannelBind (RFC 8656 §§10, 12)."""

from __future__ import annotations

import ipaddress

from lab.protocols.channel_data import FIRST_CHANNEL
from lab.protocols.stun import Attribute
from lab.protocols.stun_address import family_of
from lab.protocols.turn_server.allocation import Allocation, Channel, Permission
from lab.protocols.turn_server.config import PermissionKey, PermissionRefresh, RelayConfig
from lab.protocols.turn_server.expiry import ExpiryQueue
from lab.protocols.turn_server.request import Request, RequestRefused
from nat_models.packet import TransportAddress


class Peers:
    """Installs permissions and channels on allocations, by the server's rules."""

    def __init__(self, config: RelayConfig, expiries: ExpiryQueue) -> None:
        self._config = config
        self._expiries = expiries
        self._by_port = config.permission_key is PermissionKey.IP_PORT
        self._denied = [ipaddress.ip_network(text, strict=False) for text in config.denied_peers]
        self._allowed = [ipaddress.ip_network(text, strict=False) for text in config.allowed_peers]

    def create_permission(self, request: Request, allocation: Allocation) -> None:
        """Install or refresh a permission for every peer in the request; all or none.

        Raises:
            RequestRefused: 400, 403, 443 or 508.
        """
        peers = request.message.xor_addresses(Attribute.XOR_PEER_ADDRESS)
        if not peers:
            raise RequestRefused(400, "no XOR-PEER-ADDRESS")
        for peer in peers:
            self._check_peer(allocation, peer)
        self._check_room(allocation, peers)
        for peer in peers:
            self._permit(allocation, peer, request.now, self._config.permission_lifetime)

    def bind_channel(self, request: Request, allocation: Allocation) -> None:
        """Bind or refresh a channel, and its peer's permission.

        Raises:
            RequestRefused: 400, 403, 443 or 508.
        """
        number = request.message.uint16(Attribute.CHANNEL_NUMBER)
        peer = request.message.xor_address(Attribute.XOR_PEER_ADDRESS)
        if number is None or peer is None:
            raise RequestRefused(400, "no CHANNEL-NUMBER or no XOR-PEER-ADDRESS")
        if not FIRST_CHANNEL <= number <= self._config.last_channel:
            raise RequestRefused(400, f"{number:#06x} is no channel number")
        self._check_peer(allocation, peer)
        self._check_room(allocation, [peer])
        self._tie(allocation, number, peer, request.now)
        lifetime = self._config.permission_lifetime
        if self._config.permission_refresh is PermissionRefresh.COTURN:
            lifetime = max(lifetime, self._config.channel_lifetime)
        self._permit(allocation, peer, request.now, lifetime)

    def is_permitted(self, allocation: Allocation, peer: TransportAddress) -> bool:
        """Return whether the peer may send, and be sent to, now."""
        return (peer if self._by_port else peer[0]) in allocation.permissions

    def _check_peer(self, allocation: Allocation, peer: TransportAddress) -> None:
        if family_of(peer[0]) not in allocation.relayed:
            raise RequestRefused(443, f"{peer[0]} is of another family than the relayed address")
        if self._denied and self._is_denied(peer[0]):
            raise RequestRefused(403, f"{peer[0]} is in a denied range")

    def _is_denied(self, ip: str) -> bool:
        address = ipaddress.ip_address(ip)
        return any(address in n for n in self._denied) and not any(address in n for n in self._allowed)

    def _check_room(self, allocation: Allocation, peers: list[TransportAddress]) -> None:
        limit = self._config.permissions_per_allocation
        wanted = {*allocation.permissions, *(peer if self._by_port else peer[0] for peer in peers)}
        if limit and len(wanted) > limit:
            raise RequestRefused(508, f"the allocation has {limit} permissions")

    def _tie(self, allocation: Allocation, number: int, peer: TransportAddress, now: float) -> None:
        expires = now + self._config.channel_lifetime
        channel = allocation.channels.get(number)
        by_peer = allocation.channels_by_peer.get(peer)
        if channel is not by_peer:
            blocking = channel or by_peer
            assert blocking is not None
            what = "bound" if blocking.bound else "bound until lately, and not yet free,"
            raise RequestRefused(400, f"channel {blocking.number:#06x} is {what} to {blocking.peer[0]}")
        if channel is None:
            channel = Channel(allocation, number, peer, expires)
            allocation.channels[number] = allocation.channels_by_peer[peer] = channel
        channel.bound = True
        channel.expires = expires
        self._expiries.watch(channel)

    def _permit(self, allocation: Allocation, peer: TransportAddress, now: float, lifetime: float) -> None:
        key = peer if self._by_port else peer[0]
        permission = allocation.permissions.get(key)
        if permission is None:
            permission = allocation.permissions[key] = Permission(allocation, key, now + lifetime)
        # Never shortened: CreatePermission after ChannelBind must not take away what the channel gave.
        permission.expires = max(permission.expires, now + lifetime)
        self._expiries.watch(permission)
