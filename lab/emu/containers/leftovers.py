"""The containers of runs, for ``callpath clean``: of runs that go on, and of those that were killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lab.emu.containers.engine import Engine
from lab.emu.containers.labels import MAKER, NODE, RUN, containers_of_runs, remove_containers
from lab.emu.leftovers import Leftover
from lab.errors import HostNotReady


def left_containers() -> Iterator[Leftover]:
    """Yield the containers of each run; none where there is no engine, or this user may not use it."""
    try:
        with Engine() as engine:
            found = list(containers_of_runs(engine))
    except HostNotReady:
        return
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for container in found:
        marks = container["Labels"]
        runs.setdefault((marks[RUN], marks.get(MAKER, "")), []).append(container)
    for (run, maker), containers in runs.items():
        yield Leftover(
            run=run,
            maker=maker,
            kind="containers",
            things=[_in_words(container) for container in containers],
            remove=lambda containers=containers: _remove(containers),  # type: ignore[misc]
        )


def _in_words(container: dict[str, Any]) -> str:
    return f"{container['Id'][:12]} {container['Labels'].get(NODE, '')} ({container['Image']})"


def _remove(containers: Sequence[dict[str, Any]]) -> list[str]:
    """Remove containers; return those that are still there."""
    remaining = []
    with Engine() as engine:
        for container in containers:
            try:
                remove_containers(engine, [container["Id"]])
            except HostNotReady as error:
                remaining.append(f"{_in_words(container)}: {error}")
    return remaining
