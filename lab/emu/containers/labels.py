"""Whose a container is: labels that name its run, its node, and the process that made it and removes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from docker.errors import APIError, NotFound

from lab.emu.containers.engine import Engine, told
from lab.emu.outer.maker import MakerState, maker_state, own_mark

RUN: Final = "callpath.run"
"""The run that it belongs to, as in the environment of the run's processes."""
NODE: Final = "callpath.node"
MAKER: Final = "callpath.maker"
"""The mark of the process that made it (:mod:`lab.emu.outer.maker`)."""

_CONFLICT: Final = 409


def labels(run: str, node: str) -> dict[str, str]:
    """Return the labels of a container that this process makes."""
    return {RUN: run, NODE: node, MAKER: own_mark()}


def containers_of_runs(engine: Engine) -> Iterator[dict[str, Any]]:
    """Yield the containers of all runs, as the engine describes them."""
    with told("the containers of earlier runs"):
        yield from engine.client.containers(all=True, filters={"label": RUN})


def abandoned(engine: Engine) -> list[str]:
    """Return the containers of runs whose process has ended without removing them, as a killed one does."""
    return [
        str(container["Id"])
        for container in containers_of_runs(engine)
        if maker_state(container["Labels"].get(MAKER, "")) is MakerState.GONE
    ]


def remove_containers(engine: Engine, containers: Iterable[str]) -> None:
    """Remove containers, whatever they do; one that is gone, or about to be, is none to remove.

    Raises:
        HostNotReady: the engine could not.
    """
    for container in containers:
        with told("removing a container"):
            try:
                engine.client.remove_container(container, force=True, v=True)
            except NotFound:
                pass
            except APIError as error:
                if error.status_code != _CONFLICT:  # its removal has begun already
                    raise
