"""The request and the answer of a SIP health check."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.protocols.sip_options import options_request, status_untrusted

ANSWER = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc;rport=5060;received=192.0.2.9\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def test_a_request_is_to_the_server_itself_and_has_what_rfc_3261_asks_for():
    text = options_request("[2001:db8::1]:5060", "TCP", "[2001:db8::1]:5060", "abc").decode()
    first, *headers = text.removesuffix("\r\n\r\n").split("\r\n")
    assert first == "OPTIONS sip:[2001:db8::1]:5060 SIP/2.0"
    assert {header.partition(":")[0] for header in headers} >= {
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq",
    }  # fmt: skip


@pytest.mark.parametrize("answer", [ANSWER, ANSWER.replace(b"Via:", b"v :"), ANSWER.replace(b"Via", b"VIA")])
def test_the_status_is_that_of_the_answer_to_this_request(answer):
    assert status_untrusted(answer, "abc") == 200


def test_another_requests_answer_is_refused():
    with pytest.raises(WireFormatError, match="another request"):
        status_untrusted(ANSWER, "abcd")


@pytest.mark.parametrize(
    "answer", [b"", b"OPTIONS sip:a SIP/2.0\r\n\r\n", ANSWER[:20], b"SIP/2.0 700 No\r\n"]
)
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(WireFormatError):
        status_untrusted(answer, "abc")


@given(st.binary() | st.binary().map(lambda tail: b"SIP/2.0 200 OK\r\nVia: x;branch=" + tail))
def test_any_bytes_are_an_answer_or_refused(answer):
    with contextlib.suppress(WireFormatError):
        assert 100 <= status_untrusted(answer, "abc") < 700
