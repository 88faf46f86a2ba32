"""Before a run counts: every NAT box of it is probed, once for each distinct configuration."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import TrialInvalid
from lab.sim.certify import Certificate, certify
from lab.spec.network import Network


def certify_boxes(networks: Iterable[Network]) -> list[Certificate]:
    """Return a certificate for every distinct box of the networks, in order of appearance.

    Raises:
        TrialInvalid: a box is not what its model claims; names each, with what was found instead.
    """
    boxes = {
        (node.nat, len(node.external_addresses)): None
        for network in networks
        for node in network.nodes.values()
        if node.nat is not None
    }
    certificates = [certify(model, external_addresses=max(1, count)) for model, count in boxes]
    failed = [certificate for certificate in certificates if certificate.problems]
    if failed:
        lines = [f"{c.model.name}: {problem}" for c in failed for problem in c.problems]
        raise TrialInvalid(
            "NAT boxes are not what they claim; the run would mean nothing\n  " + "\n  ".join(lines)
        )
    return certificates
