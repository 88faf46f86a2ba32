"""Certificates for TLS inside the lab: an authority of its own, and server certificates signed by it.

Every certificate for the same names has the same size in every process: RSA keys, serial numbers of a fixed
length, fixed dates. In virtual time the size of a handshake decides when it ends, so a size that varied
would make runs differ. Keys are made when first needed, one pair for the authority and one for all servers,
once a process.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

KEY_BITS: Final = 2048

# A wall clock that is wrong in either direction must not fail a run (RFC 5280 §4.1.2.5: the last date means
# "never").
_NOT_BEFORE: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)

_AUTHORITY_SERIAL: Final = 0x4C61_6200_0000_0001
"""Serial numbers count from here: eight bytes each, whatever their number."""


class FixedSizeContext(ssl.SSLContext):
    """A context whose handshake flights have the same sizes in every process."""


class _ServerContext(FixedSizeContext):
    """A server's context that loads its certificate when the first client connects: most runs see none."""

    pem: Callable[[], bytes] | None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        self._load()
        return super().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        self._load()
        return super().wrap_socket(*args, **options)

    def _load(self) -> None:
        if self.pem is None:
            return
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # load_cert_chain reads files only
            file.write(self.pem())
            file.flush()
            self.load_cert_chain(file.name)
        self.pem = None


KEY_VARIABLE: Final = "CALLPATH_AUTHORITY_KEY"
"""In the environment of a lab's program that shares the run's authority and was not forked from where it was
made: the file of its private key."""


class CertificateAuthority:
    """A certificate authority.

    Args:
        key: its private key as PEM; empty: it makes one when first needed.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._given_key = key
        self._name = _name("Callpath lab authority")
        self._last_serial = _AUTHORITY_SERIAL
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    @functools.cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        if self._given_key:
            loaded = serialization.load_pem_private_key(self._given_key, password=None)
            assert isinstance(loaded, rsa.RSAPrivateKey), "an authority's key is one of this module's"
            return loaded
        return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    @functools.cached_property
    def _server_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    @functools.cached_property
    def _certificate(self) -> x509.Certificate:
        return self._make_own()

    @property
    def key_pem(self) -> bytes:
        """Its private key, for a program of the lab's own that is to be the same authority."""
        return _as_pem(self._key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, for the trust store of a program outside the lab's process."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def client_context(self) -> ssl.SSLContext:
        """Return a context that verifies servers, by name or address, against this authority alone."""
        context = FixedSizeContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.certificate_pem.decode())
        return context

    def server_context(self, names: Iterable[str]) -> ssl.SSLContext:
        """Return the context of a server known by these DNS names and IP addresses (one for equal names).

        Raises:
            ValueError: no name, or a DNS name that is not ASCII.
        """
        wanted = tuple(sorted(set(names)))
        if wanted not in self._contexts:
            self._contexts[wanted] = self._make_server_context(wanted)
        return self._contexts[wanted]

    def server_pem(self, names: Iterable[str]) -> bytes:
        """Return private key and certificate chain for these names, for a server in another process."""
        certificate = self._issue(tuple(sorted(set(names))))
        return (
            _as_pem(self._server_key)
            + certificate.public_bytes(serialization.Encoding.PEM)
            + self.certificate_pem
        )

    def _make_server_context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        _subject_names(names)
        context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
        context.pem = functools.partial(self.server_pem, names)
        context.num_tickets = 0  # nobody resumes here, and the encoding of a ticket varies in size
        context.options |= ssl.OP_NO_TICKET
        return context

    def _make_own(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _issue(self, names: tuple[str, ...]) -> x509.Certificate:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            self._builder(_name("Callpath lab server"), self._server_key.public_key())
            .add_extension(_subject_names(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
        self._last_serial += 1
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(self._last_serial)
            .not_valid_before(_NOT_BEFORE)
            .not_valid_after(_NOT_AFTER)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


@functools.cache
def lab_authority() -> CertificateAuthority:
    """Return this process's authority; the first client has it make two RSA keys: a tenth of a second."""
    place = os.environ.get(KEY_VARIABLE)
    return CertificateAuthority(Path(place).read_bytes() if place else b"")


@functools.cache
def lab_client_context() -> ssl.SSLContext:
    """Return this process's context for clients that trust the lab's authority."""
    return lab_authority().client_context()


def _as_pem(key: rsa.RSAPrivateKey) -> bytes:
    form, nobody = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, nobody)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _subject_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    if not names:
        raise ValueError("a server certificate needs at least one name")
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
