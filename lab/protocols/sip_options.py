"""OPTIONS, by which a SIP server is asked whether it is there (RFC 3261 §11): a request, an answer's status.

Not a SIP stack: no more than a health check needs.
"""

from __future__ import annotations

import re
from typing import Final

from lab.errors import WireFormatError

BRANCH_COOKIE: Final = "z9hG4bK"
"""How every branch of RFC 3261 begins (§8.1.1.7)."""

_STATUS_LINE: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) [^\r\n]*\r\n")
_BRANCH: Final = re.compile(rb"^(?:Via|v)[ \t]*:.*?;[ \t]*branch=([^;,\s]+)", re.IGNORECASE | re.MULTILINE)


def options_request(target: str, transport: str, sent_by: str, transaction: str) -> bytes:
    """Return a request to a server itself (no user part).

    Args:
        target: host and port of the server; IPv6 in brackets.
        transport: ``UDP`` or ``TCP``.
        sent_by: host and port the answer is to come to; with ``rport`` (RFC 3581) it comes to the source.
        transaction: what is new in each request; it makes branch, tag and Call-ID.
    """
    lines = (
        f"OPTIONS sip:{target} SIP/2.0",
        f"Via: SIP/2.0/{transport} {sent_by};branch={BRANCH_COOKIE}{transaction};rport",
        "Max-Forwards: 70",
        f"From: <sip:callpath@{sent_by}>;tag={transaction}",
        f"To: <sip:{target}>",
        f"Call-ID: {transaction}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def status_untrusted(answer: bytes, transaction: str) -> int:
    """Return the status code of the answer to a transaction's request (RFC 3261 §7.2, §17.1.3).

    Raises:
        WireFormatError: it is no such answer, whatever the bytes.
    """
    status = _STATUS_LINE.match(answer)
    if status is None:
        raise WireFormatError(f"no SIP answer: {answer[:40]!r}")
    branch = _BRANCH.search(answer)
    if branch is None or branch[1] != f"{BRANCH_COOKIE}{transaction}".encode():
        raise WireFormatError("the answer to another request")
    return int(status[1])
