"""The Docker engine that runs containers: found, asked what it is, and its refusals told in our words."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from docker.api.client import APIClient
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from lab.errors import HostNotReady, UsageError

HOST_VARIABLE: Final = "DOCKER_HOST"
USUAL_SOCKET: Final = "unix:///var/run/docker.sock"
OLDEST_API: Final = (1, 40)
"""Docker 19.03's. The lab is tested with 1.41, Debian 12's."""

_REMEDY: Final = (
    "  start Docker, or name its socket in DOCKER_HOST, or run the command with an engine of its own:"
    " `callpath engine COMMAND`"
)


class Engine:
    """A reachable engine of this machine, and this user may enter the network namespaces of its containers.

    ``client`` is the SDK's low-level one; calls of it are to be in a block of :func:`told`. A context
    manager.

    Raises:
        HostNotReady: there is no engine, or none that will do; the message says what to do.
    """

    def __init__(self) -> None:
        self.url = os.environ.get(HOST_VARIABLE) or USUAL_SOCKET
        if os.geteuid() != 0:
            raise HostNotReady(
                "containers are wired into the network by their namespaces, and that takes root\n"
                "  run it as root, or without containers"
            )
        self._path, self._daemon = _daemon_behind(self.url)
        with told(f"the Docker engine at {self.url}"):
            # Its version is the first question; one that is too old is told oddly by the SDK itself.
            with contextlib.closing(APIClient(base_url=self.url, version="1.24", timeout=_TIMEOUT)) as asking:
                version = asking.version(api_version=False)
            _require_recent(self.url, version)
            self.version = str(version["Version"])
            api = version["ApiVersion"]
            self.client: Any = APIClient(base_url=self.url, version=api, timeout=_TIMEOUT)

    def close(self) -> None:
        """Let go of it."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attach(self, container: str, *, has_input: bool) -> int:
        """Return a descriptor of a container's stream, input and output, from now on.

        The SDK has it, but neither closes what it opens for it nor lets one end of it be closed.

        Raises:
            HostNotReady: the engine refuses it.
        """
        wanted = f"stream=1&stdin={int(has_input)}&stdout=1&stderr=1"
        return self._upgrade(f"/containers/{container}/attach?{wanted}")

    def execute(self, container: str, command: Sequence[str]) -> int:
        """Start a further program in a running container; return a descriptor of its input and output.

        It ends with its input.

        Raises:
            HostNotReady: the engine refuses it.
        """
        with told("a program in a running container"):
            made = self.client.exec_create(container, list(command), stdin=True)["Id"]
        return self._upgrade(f"/exec/{made}/start", b'{"Detach": false, "Tty": false}')

    def _upgrade(self, path: str, body: bytes = b"") -> int:
        """Return a descriptor of what a request turns its connection into: a stream of frames."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(self._path)
            stream.sendall(head.encode() + body)
            answer = b""
            while not answer.endswith(b"\r\n\r\n") and (byte := stream.recv(1)):
                answer += byte
            if b" 101 " not in answer.partition(b"\r\n")[0]:
                said = answer.decode(errors="replace").strip()
                raise HostNotReady(f"the Docker engine gives no stream of a container: {said}")
            return stream.detach()

    def open_namespace(self, container: str) -> int:
        """Return a descriptor of the network namespace of a running container.

        It is found by the engine's own name for it, as the engine's process sees it: what that process runs
        in may have other process numbers and mounts than this one.

        Raises:
            HostNotReady: the engine runs where this process cannot see it.
        """
        with told("the network namespace of a container"):
            place = self.client.inspect_container(container)["NetworkSettings"]["SandboxKey"]
        try:
            return os.open(f"/proc/{self._daemon}/root{place}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostNotReady(
                f"network namespaces of the Docker engine at {self.url} cannot be opened: {error.strerror}\n"
                "  containers have to run on this machine, by an engine that runs as root"
            ) from None

    def require_image(self, image: str) -> None:
        """Make sure that an image is there.

        Raises:
            UsageError: it is not; nothing is fetched.
        """
        with told(f"image {image}"):
            self.client.inspect_image(image)


_TIMEOUT: Final = 60
_PEER: Final = struct.Struct("=iII")


def _daemon_behind(url: str) -> tuple[str, int]:
    """Return an engine's socket and the number of the process that listens on it, as this process sees it."""
    kind, _, path = url.partition("://")
    if kind != "unix":
        raise HostNotReady(
            f"the Docker engine at {url} is not of this machine: containers are wired by their namespaces\n"
            "  name a Unix socket in DOCKER_HOST, or unset it"
        )
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(path)
        except OSError as error:
            raise HostNotReady(f"{_why_unreachable(path, error)}\n{_REMEDY}") from None
        process, _, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if process == 0:
        raise HostNotReady(
            f"the Docker engine behind {path} runs outside of the container that this is:"
            " its namespaces cannot be opened from here\n  run Callpath on the machine itself"
        )
    return path, int(process)


def _why_unreachable(path: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"this user may not use the Docker engine at {path}"
    if not Path(path).exists():
        return f"no Docker engine: there is no {path}"
    if not stat.S_ISSOCK(Path(path).stat().st_mode):
        return f"no Docker engine: {path} is no socket"
    return f"no Docker engine answers at {path}: {error.strerror or error}"


def _require_recent(url: str, version: dict[str, Any]) -> None:
    offered = tuple(int(part) for part in str(version["ApiVersion"]).split("."))
    if offered < OLDEST_API:
        wanted = ".".join(map(str, OLDEST_API))
        raise HostNotReady(
            f"the Docker engine at {url} is too old: {version['Version']}, whose interface has version"
            f" {version['ApiVersion']}\n  {wanted} is needed, that is Docker 19.03 or newer"
        )


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Tell what an engine refuses in the block as an error of ours.

    Raises:
        UsageError: an image that is not there.
        HostNotReady: anything else that the engine, or the way to it, has to say.
    """
    try:
        yield
    except ImageNotFound:
        raise UsageError(
            f"{what} is not known to the Docker engine, and the lab fetches none\n"
            "  `docker pull` fetches one, `make images` builds the lab's; `docker images` has what there is"
        ) from None
    except APIError as error:
        raise HostNotReady(f"{what}: {error.explanation or error}") from None
    except (DockerException, RequestException, KeyError, ValueError) as error:
        raise HostNotReady(f"{what}: {type(error).__name__}: {error}") from None
