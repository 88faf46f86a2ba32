"""The one place where names inside third-party libraries are replaced, so that they run in virtual time.

aioice runs unmodified but for module globals that reach for the machine: its addresses, its randomness, its
clock. Each is bound to the current host's. A name that a new release no longer has is an error here, not a
silent leak of the real world into a run.

One more is bound for speed alone: parsing addresses as text costs aioice 2 % of a session, and a run has
few addresses. What its ``ipaddress`` answers is the same, from a cache.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import aioice.candidate
import aioice.ice
import aioice.mdns
import aioice.stun
import aioice.turn

from lab.errors import HostNotReady
from lab.sim.current import current_host

_ALPHABET: Final = string.ascii_letters + string.digits
_STREAM: Final = "ice"


@contextmanager
def aioice_on_simulated_hosts() -> Iterator[None]:
    """Bind aioice's view of the machine to the current simulated host, for the block.

    Raises:
        HostNotReady: the installed aioice lacks a name that must be replaced.
    """
    replaced: list[tuple[ModuleType, str, Any]] = []
    try:
        for module, name, replacement in _REPLACEMENTS:
            if not hasattr(module, name):
                raise HostNotReady(
                    f"{module.__name__} has no {name!r}: install the aioice release that pyproject pins"
                )
            replaced.append((module, name, getattr(module, name)))
            setattr(module, name, replacement)
        yield
    finally:
        for module, name, original in reversed(replaced):
            setattr(module, name, original)


def _stream() -> random.Random:
    return current_host().random(_STREAM)


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return [a for a in current_host().addresses if (use_ipv6 if ":" in a else use_ipv4)]


def _random_string(length: int) -> str:
    return "".join(_stream().choices(_ALPHABET, k=length))


def _random_transaction_id() -> bytes:
    return _stream().getrandbits(96).to_bytes(12)


def _virtual_time() -> float:
    return current_host().loop.time()


class _NoMulticast:
    """aioice's mDNS on a network without multicast: no name is ever resolved (and nothing waits for it)."""

    async def resolve(self, hostname: str, timeout: float | None = 1.0) -> str | None:
        """Return None, as aioice's own does where the multicast group cannot be joined."""
        return None

    async def publish(self, hostname: str, addr: str) -> None:
        """Refuse to publish a name.

        Raises:
            OSError: always.
        """
        raise OSError(errno.EADDRNOTAVAIL, "no multicast here: signal addresses, not .local names")

    async def close(self) -> None:
        """Do nothing: there is no socket."""


async def _no_multicast() -> _NoMulticast:
    return _NoMulticast()


class _PerHost:
    """Attributes of aioice's thread-local mDNS state, kept a host instead of a thread."""

    def __getattr__(self, name: str) -> Any:
        try:
            return current_host().library_state[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        current_host().library_state[name] = value


_CACHED_IPADDRESS: Final = SimpleNamespace(
    ip_address=functools.lru_cache(maxsize=65_536)(ipaddress.ip_address),
    IPv4Address=ipaddress.IPv4Address,
    IPv6Address=ipaddress.IPv6Address,
)


_REPLACEMENTS: Final[tuple[tuple[ModuleType, str, Any], ...]] = (
    (aioice.candidate, "ipaddress", _CACHED_IPADDRESS),
    (aioice.ice, "ipaddress", _CACHED_IPADDRESS),
    (aioice.stun, "ipaddress", _CACHED_IPADDRESS),
    (aioice.ice, "get_host_addresses", _host_addresses),
    (aioice.ice, "random_string", _random_string),
    (aioice.ice, "secrets", SimpleNamespace(randbits=lambda bits: _stream().getrandbits(bits))),
    (aioice.ice, "random", SimpleNamespace(random=lambda: _stream().random())),
    (aioice.ice, "_mdns", _PerHost()),
    (aioice.mdns, "create_mdns_protocol", _no_multicast),
    (aioice.stun, "random_transaction_id", _random_transaction_id),
    (aioice.turn, "random_transaction_id", _random_transaction_id),
    (aioice.turn, "time", SimpleNamespace(time=_virtual_time)),
)
