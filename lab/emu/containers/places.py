"""What a container finds of the lab's, and where; and which programs in containers speak to the lab."""

from __future__ import annotations

from typing import Final

from lab.spec.network import Network, Node
from lab.spec.roles import ENDPOINT

AUTHORITY_PLACE: Final = "/callpath/authority.pem"
"""The certificate of the run's authority; the environment names it, too (SSL_CERT_FILE)."""
KEY_PLACE: Final = "/callpath/authority-key.pem"
"""The authority's private key, for a server of the lab's own."""
DIRECTORY_PLACE: Final = "/tmp"  # noqa: S108 - in a container that is the program's own
"""Where a program may write."""


def image_nodes(network: Network) -> list[str]:
    """Return the names of the nodes that are containers."""
    return [node.name for node in network.nodes.values() if node.program is not None and node.program.image]


def speaks_lines(node: Node) -> bool:
    """Whether the program in a node's container speaks to the lab (:mod:`lab.spec.program_lines`)."""
    return node.role == ENDPOINT
