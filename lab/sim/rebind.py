"""The one place where names inside third-party libraries are replaced, so that they run in virtual time.

aioice runs unmodified but for module globals that reach for the machine: its addresses, its randomness, its
clock. Each is bound to the current host's. A name that a new release no longer has is an error here, not a
silent leak of the real world into a run.

So is ``asyncio.wait``, whose answer is a set: aioice takes its candidates in the order that the set happens
to have. That order is one of hashes, which no seed decides.

Two more are bound for speed alone, and answer the same, from a cache: parsing addresses as text costs aioice
2 % of a session, and a run has few addresses; and signatures, as who verifies one asks for what was computed
to sign.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import hmac
import ipaddress
import random
import string
from collections.abc import Iterable, Iterator, KeysView
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import aioice.candidate
import aioice.ice
import aioice.mdns
import aioice.stun
import aioice.turn

from lab.errors import HostNotReady
from lab.protocols.stun_auth import signature
from lab.sim.clock import forget_cancellation
from lab.sim.current import current_host

_ALPHABET: Final = string.ascii_letters + string.digits
_STREAM: Final = "ice"
_CONSENT: Final = "ice consent"
"""Apart from the other: how many transaction ids were drawn before must not move a consent check."""


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


def _stream(purpose: str = _STREAM) -> random.Random:
    return current_host().random(purpose)


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return [a for a in current_host().addresses if (use_ipv6 if ":" in a else use_ipv4)]


def _random_string(length: int) -> str:
    return "".join(_stream().choices(_ALPHABET, k=length))


def _random_transaction_id() -> bytes:
    return current_host().random(_STREAM).getrandbits(96).to_bytes(12)


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


async def _wait_in_order(
    tasks: Iterable[asyncio.Task[Any]], **options: Any
) -> tuple[KeysView[asyncio.Task[Any]], KeysView[asyncio.Task[Any]]]:
    """Do as ``asyncio.wait``; what is done, and what is not, comes in the order in which it was passed.

    aioice waits so for the checks that it has cancelled: a session that ends takes its memory with it.
    """
    passed = list(tasks)
    done, _ = await asyncio.wait(passed, **options)
    for task in done:
        forget_cancellation(task)
    return (
        dict.fromkeys(task for task in passed if task in done).keys(),
        dict.fromkeys(task for task in passed if task not in done).keys(),
    )


_ASYNCIO: Final = SimpleNamespace(**vars(asyncio) | {"wait": _wait_in_order})


class _Interned(type):
    """Makes an address once of everything that it is made of, as text or packed."""

    @functools.lru_cache(maxsize=65_536)  # noqa: B019 - classes live for ever
    def __call__(cls, value: Any) -> Any:
        """Return the address."""
        return super().__call__(value)


class _KnowsItself:
    """What makes an address know its text and its bytes, which the library computes anew for whoever asks."""

    __slots__ = ()

    def __init__(self, value: Any) -> None:
        super().__init__(value)  # type: ignore[call-arg]  # the address's, which is next
        self._text = super().__str__()  # type: ignore[misc]  # slots are those of who inherits
        self.packed = super().packed  # type: ignore[misc]  # a property there

    def __str__(self) -> str:
        return self._text


class _IPv4Address(_KnowsItself, ipaddress.IPv4Address, metaclass=_Interned):
    __slots__ = ("_text", "packed")
    version = 4


class _IPv6Address(_KnowsItself, ipaddress.IPv6Address, metaclass=_Interned):
    __slots__ = ("_text", "packed")
    version = 6


@functools.lru_cache(maxsize=65_536)
def _ip_address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return (_IPv4Address if ipaddress.ip_address(value).version == 4 else _IPv6Address)(value)


_CACHED_IPADDRESS: Final = SimpleNamespace(
    ip_address=_ip_address, IPv4Address=_IPv4Address, IPv6Address=_IPv6Address
)


class _Signature:
    """What ``hmac.new`` returns, as far as aioice asks."""

    __slots__ = ("_digest",)

    def __init__(self, key: bytes, message: bytes, algorithm: str) -> None:
        self._digest = signature(key, message, algorithm)

    def digest(self) -> bytes:
        """Return the signature."""
        return self._digest


_CACHED_HMAC: Final = SimpleNamespace(new=_Signature, compare_digest=hmac.compare_digest)


_REPLACEMENTS: Final[tuple[tuple[ModuleType, str, Any], ...]] = (
    (aioice.ice, "asyncio", _ASYNCIO),
    (aioice.candidate, "ipaddress", _CACHED_IPADDRESS),
    (aioice.ice, "ipaddress", _CACHED_IPADDRESS),
    (aioice.stun, "ipaddress", _CACHED_IPADDRESS),
    (aioice.stun, "hmac", _CACHED_HMAC),
    (aioice.ice, "get_host_addresses", _host_addresses),
    (aioice.ice, "random_string", _random_string),
    (aioice.ice, "secrets", SimpleNamespace(randbits=lambda bits: _stream().getrandbits(bits))),
    (aioice.ice, "random", SimpleNamespace(random=lambda: _stream(_CONSENT).random())),
    (aioice.ice, "_mdns", _PerHost()),
    (aioice.mdns, "create_mdns_protocol", _no_multicast),
    (aioice.stun, "random_transaction_id", _random_transaction_id),
    (aioice.turn, "random_transaction_id", _random_transaction_id),
    (aioice.turn, "time", SimpleNamespace(time=_virtual_time)),
)
