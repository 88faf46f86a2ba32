"""The network that a container of a standing lab is part of, as its environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from lab.spec.assignment import parse_value
from lab.spec.event import JsonValue
from lab.spec.find import load_topology, open_topology
from lab.spec.network import Network

TOPOLOGY: Final = "CALLPATH_TOPOLOGY"
"""In the environment of every container: the topology's name. Its parameters are variables of their own."""
OWN_TOPOLOGY: Final = "/callpath/topology.py"
"""Where the topology's file is, if it is none of those that ship."""


def variable_of(parameter: str) -> str:
    """Return the environment variable that sets a parameter of the topology: ``ALICE_NAT``."""
    return parameter.upper()


def parameters_from(environment: Mapping[str, str], topology: str) -> dict[str, JsonValue]:
    """Return the parameters of a topology that an environment sets.

    Raises:
        UsageError: there is no such topology.
    """
    known = open_topology(topology).parameters
    given = {name: environment[variable_of(name)] for name in known if variable_of(name) in environment}
    return {name: parse_value(text) for name, text in given.items()}


def described_network() -> Network:
    """Return the network that this container's environment describes.

    Raises:
        UsageError: the topology, or the value of a parameter, is wrong.
    """
    topology = os.environ[TOPOLOGY]
    return load_topology(topology, parameters_from(os.environ, topology))
