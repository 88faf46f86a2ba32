"""The lab's certificates: trusted by its clients alone, good for the names asked for, of one size always."""

import ssl

import pytest

from lab.roles.certificates import CertificateAuthority, lab_authority, lab_client_context

NAMES = ["198.51.100.1", "2001:db8::1", "relay.test"]


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> list[int]:
    """Shake hands in memory; return the sizes of the flights."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        (client.wrap_bio(to_client, to_server, server_hostname=name), to_server),
        (server.wrap_bio(to_server, to_client, server_side=True), to_client),
    ]
    sizes = []
    while ends:
        for end, outgoing in list(ends):
            before = outgoing.pending
            try:
                end.do_handshake()
                ends.remove((end, outgoing))
            except ssl.SSLWantReadError:
                pass
            sizes.append(outgoing.pending - before)
    return sizes


@pytest.fixture(scope="module")
def authority():
    return lab_authority()


@pytest.mark.parametrize("name", NAMES)
def test_a_server_is_known_by_every_name_it_asked_for(authority, name):
    shake(authority.server_context(NAMES), authority.client_context(), name)


def test_any_other_name_is_refused(authority):
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(authority.server_context(NAMES), authority.client_context(), "other.test")


def test_another_authority_is_not_trusted(authority):
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self.signed"):
        shake(CertificateAuthority().server_context(NAMES), authority.client_context(), "relay.test")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_handshake_has_the_same_sizes_whoever_made_the_keys(version):
    """The premise of repeatable TLS in virtual time: new keys, new signatures, equal lengths."""
    seen = set()
    for authority in (CertificateAuthority(), CertificateAuthority()):
        client = authority.client_context()
        client.maximum_version = version
        for _ in range(8):
            seen.add(tuple(shake(authority.server_context(NAMES), client, "relay.test")))
    assert len(seen) == 1


def test_contexts_are_made_once(authority):
    assert authority.server_context(["a.test", "b.test"]) is authority.server_context(["b.test", "a.test"])
    assert lab_client_context() is lab_client_context()


def test_a_server_without_a_name_is_a_mistake(authority):
    with pytest.raises(ValueError, match="at least one name"):
        authority.server_context([])


def test_a_program_outside_the_process_gets_key_and_chain(authority, tmp_path):
    """What coturn or a browser's trust store is given as files."""
    (tmp_path / "server.pem").write_bytes(authority.server_pem(["turn.test"]))
    (tmp_path / "authority.pem").write_bytes(authority.certificate_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    assert shake(server, client, "turn.test")
