"""The containers of one network: holders of namespaces, programs in them, and the end of both."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from docker.errors import APIError

from lab.emu.containers.engine import Engine, told
from lab.emu.containers.holder_image import PROGRAM, holder_image
from lab.emu.containers.labels import abandoned, labels, remove_containers
from lab.emu.containers.stand_in import ContainerEnd

_SIDE_BY_SIDE: Final = 4
"""Containers that are asked for at the same time: more than the engine does at once makes none faster."""
_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
"""Of those that Docker gives: to become another user and to listen on a low port. No address, route or raw
packet can be had with them: the network is the lab's to make."""
_HOLDER_USER: Final = "65534:65534"
_HOLDER_PROCESSES: Final = 64
"""The program is one, but threads of the runtime that starts it count too."""
_LOG: Final = {"type": "json-file", "config": {"max-size": "4m"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What to run on a node, and within which limits.

    ``command`` is in place of the image's own, where given. ``memory`` is in bytes and ``cpus`` in
    processors; 0 is no limit. ``has_input`` says that the program reads its standard input. ``files`` are put
    into the container, by path.
    """

    name: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: int = 0
    cpus: float = 0.0
    has_input: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How a host resolves names: name servers, or a table."""

    servers: Sequence[str] = ()
    table: Mapping[str, str] = field(default_factory=dict)


class ContainerHosts:
    """Containers for the nodes of one network. Close it, and all of them are gone.

    The methods block; call each from a thread of its own where a loop runs.

    Args:
        run: names the run in the containers' labels.
    """

    def __init__(self, engine: Engine, run: str) -> None:
        self._engine, self._run = engine, run
        self._holders: dict[str, str] = {}
        self._programs: dict[str, str] = {}
        self._watchers: list[threading.Thread] = []

    def hold(self, nodes: Mapping[str, Names]) -> dict[str, int]:
        """Start a holder for each node; return a descriptor of each one's network namespace.

        Raises:
            HostNotReady: the engine could not.
        """
        remove_containers(self._engine, abandoned(self._engine))
        image = holder_image(self._engine)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            handles = list(threads.map(lambda item: self._hold(image, *item), nodes.items()))
        return dict(zip(nodes, handles, strict=True))

    def _hold(self, image: str, node: str, names: Names) -> int:
        client = self._engine.client
        with told(f"{node}: the container of its network namespace"):
            host = client.create_host_config(
                network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges"], read_only=True,
                pids_limit=_HOLDER_PROCESSES, dns=list(names.servers) or None, extra_hosts=dict(names.table)
                or None, log_config=_LOG,
            )  # fmt: skip
            made = client.create_container(
                image, command=[PROGRAM], user=_HOLDER_USER, hostname=node, host_config=host,
                labels=labels(self._run, node),
            )  # fmt: skip
            self._holders[node] = made["Id"]
            client.start(made["Id"])
        return self._engine.open_namespace(made["Id"])

    def start(self, node: str, image: Image) -> tuple[int, int]:
        """Start the program of a node that has a holder, in place of one that ran there before.

        Returns:
            Descriptors of its stream and of the pipe that tells of its end: what a stand-in needs.

        Raises:
            UsageError: there is no such image.
            HostNotReady: the engine could not; of a command that is not in the image, in its words.
        """
        self.remove(node)
        client = self._engine.client
        with told(f"{node}: image {image.name}"):
            container = self._programs[node] = client.create_container(
                image.name, **self._options(node, image), labels=labels(self._run, node)
            )["Id"]
            if image.files:
                client.put_archive(container, "/", _archive(image.files))
            stream = self._engine.attach(container, has_input=image.has_input)
            try:
                client.start(container)
            except BaseException:
                os.close(stream)
                raise
        reader, writer = os.pipe()
        watcher = threading.Thread(
            target=self._watch,
            args=(container, writer, image),
            name=f"end of {node}",
            daemon=True,
        )
        self._watchers.append(watcher)
        watcher.start()
        return stream, reader

    def _options(self, node: str, image: Image) -> dict[str, Any]:
        host = self._engine.client.create_host_config(
            network_mode=f"container:{self._holders[node]}",
            cap_drop=["ALL"],
            cap_add=list(_CAPABILITIES),
            mem_limit=image.memory or None,
            memswap_limit=image.memory or None,
            nano_cpus=round(image.cpus * 1e9) or None,
            log_config=_LOG,
        )
        return {
            "command": list(image.command) or None,
            "entrypoint": list(image.entrypoint) or None,
            "environment": dict(image.environment),
            "stdin_open": image.has_input,
            "host_config": host,
        }

    def _watch(self, container: str, writer: int, image: Image) -> None:
        """Wait for a container's end and tell who stands for it."""
        with os.fdopen(writer, "wb", buffering=0) as pipe, contextlib.suppress(Exception):
            pipe.write(self._wait(container, image).encode())  # nothing, where it was removed or nobody reads

    def _wait(self, container: str, image: Image) -> ContainerEnd:
        status = int(self._engine.client.wait(container, timeout=None)["StatusCode"])
        state = self._engine.client.inspect_container(container)["State"]
        if state["OOMKilled"]:
            limit = f"{image.memory / (1 << 20):g} MiB" if image.memory else "what the machine had left"
            return ContainerEnd(status=status, words=f"out of memory: its limit is {limit}")
        return ContainerEnd(status=status, words=str(state.get("Error", "")))

    def kill(self, node: str) -> None:
        """End the program of a node at once; its network stays."""
        with told(f"{node}: killing its container"), _unless_it_has_ended():
            self._engine.client.kill(self._programs[node])

    def pause(self, node: str) -> None:
        """Freeze the program of a node."""
        with told(f"{node}: pausing its container"), _unless_it_has_ended():
            self._engine.client.pause(self._programs[node])

    def resume(self, node: str) -> None:
        """Let the program of a node go on."""
        with told(f"{node}: resuming its container"), _unless_it_has_ended():
            self._engine.client.unpause(self._programs[node])

    def remove(self, node: str) -> None:
        """Remove the program of a node, if there is one; nothing is told of its end."""
        container = self._programs.pop(node, "")
        if container:
            remove_containers(self._engine, [container])

    def close(self) -> None:
        """Remove all containers."""
        programs = [*self._programs.values()]
        self._programs.clear()
        holders = [*self._holders.values()]
        self._holders.clear()
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            for group in (programs, holders):
                list(threads.map(lambda container: remove_containers(self._engine, [container]), group))
        for watcher in self._watchers:
            watcher.join()
        self._engine.close()


@contextlib.contextmanager
def _unless_it_has_ended() -> Iterator[None]:
    """Let it pass that a container has ended already: that is told by itself."""
    try:
        yield
    except APIError as error:
        if error.status_code not in {404, 409}:
            raise


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return files as the engine takes them, readable by whoever the image's user is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o444
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
