"""What may be done to a running network: to links and boxes, to programs, and to where an endpoint is."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Collection

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.impairment import Impairment
from lab.spec.impairment_options import parse_impairment
from lab.spec.network import Network, nat_boxes_of, programs_of
from lab.spec.packet_drop import DropPackets, parse_drop
from lab.spec.roles import ENDPOINT
from lab.units import parse_duration


class Faults(abc.ABC):
    """The part of :class:`~lab.handle.Lab` that breaks things, and mends them.

    Names are the topology's; a name that does not exist is a UsageError with a suggestion.
    """

    network: Network

    # What a world provides

    @abc.abstractmethod
    def _set_link(self, label: str, forward: Impairment, backward: Impairment) -> None:
        """Change both directions of a link."""

    @abc.abstractmethod
    def _cut(self, label: str) -> None:
        """Let nothing through a link."""

    @abc.abstractmethod
    def _heal(self, label: str) -> None:
        """Undo a cut."""

    def _drop(self, drop: DropPackets) -> None:
        """Lose chosen packets on a link.

        Raises:
            ValueError: a packet named by its index has been sent already.
        """
        raise self._impossible("drop")

    @abc.abstractmethod
    def _reboot_nat(self, name: str) -> None:
        """Let a NAT box forget everything."""

    def _flush_nat(self, name: str) -> None:
        """Let a NAT box forget its mappings."""
        raise self._impossible("flush_nat")

    def _state(self, node: str) -> str:
        """Return what a node's program does: "running", "paused" or "dead"."""
        del node
        return "running"

    def _kill(self, node: str) -> None:
        """End a node's program, with no chance to clean up."""
        raise self._impossible("kill")

    def _start(self, node: str) -> None:
        """Start a node's program, which is dead."""
        raise self._impossible("start")

    def _pause(self, node: str) -> None:
        """Stop a node's program."""
        raise self._impossible("pause")

    def _resume(self, node: str) -> None:
        """Let a node's program go on."""
        raise self._impossible("resume")

    def _detach(self, node: str) -> None:
        """Take a node off every link that it is attached to."""
        raise self._impossible("detach")

    def _attach(self, node: str, label: str) -> None:
        """Attach a node to one of its links."""
        raise self._impossible("attach")

    def _impossible(self, what: str) -> UsageError:
        found = f"{what.replace('_', ' ')}: not in this world"
        return UsageError(Problem("", found, "a scenario with worlds: [sim]"))

    # Links

    def impair(self, link: str, /, **options: object) -> None:
        """Impair a link from now on (``delay="20ms"``, ``loss="1%"`` ...); options not given are off."""
        self._check_link(link)
        forward, backward = parse_impairment(options, f"link {link}")
        self._set_link(link, forward, backward)

    def reset(self, link: str) -> None:
        """Give a link back the impairments of the topology."""
        self._check_link(link)
        described = self.network.links[link]
        self._set_link(link, described.forward, described.backward)

    def cut(self, link: str) -> None:
        """Let nothing through a link, both ways."""
        self._check_link(link)
        self._cut(link)

    def heal(self, link: str) -> None:
        """Undo :meth:`cut`."""
        self._check_link(link)
        self._heal(link)

    def drop(self, link: str, /, **options: object) -> None:
        """Lose chosen packets on a link from now on; options as ``drop`` has them in a scenario file.

        ``from`` is written ``sender`` here. ``lab.drop("alice-access", sender="alice-nat", nth=3,
        match={"stun_method": "binding"})``.

        Raises:
            UsageError: an option is wrong, or a packet named by its index was sent before.
        """
        self._check_link(link)
        renamed = {{"sender": "from"}.get(name, name): value for name, value in options.items()}
        drop = parse_drop({"link": link, **renamed}, f"link {link}")
        ends = self.network.links[link].a, self.network.links[link].b
        if drop.sender is not None and drop.sender not in ends:
            found = f"{drop.sender!r} is no end of link {link!r}"
            raise UsageError(Problem("", found, " or ".join(ends), did_you_mean(drop.sender, ends)))
        try:
            self._drop(drop)
        except ValueError as error:
            raise UsageError(Problem(f"link {link}", str(error))) from None

    # NAT boxes

    def reboot_nat(self, name: str) -> None:
        """Power-cycle a NAT box: mappings, and whatever else it remembers, are lost."""
        self._check_nat(name)
        self._reboot_nat(name)

    def flush_nat(self, name: str) -> None:
        """Empty the table of a NAT box, as ``conntrack -F`` does.

        The box goes on giving ports from where it was: the next of a sequence, the block of a host.
        """
        self._check_nat(name)
        self._flush_nat(name)

    # Programs

    def kill(self, node: str) -> None:
        """End a node's program at once, as SIGKILL does; the kernel closes its sockets.

        Raises:
            UsageError: no program is there, or it is dead already.
        """
        if self._state_of(node) == "dead":
            raise UsageError(Problem("", f"the program of {node!r} is dead already"))
        self._kill(node)

    def restart(self, node: str) -> None:
        """Start a node's program anew, with its configuration and nothing else; kill it first if it lives."""
        if self._state_of(node) != "dead":
            self._kill(node)
        self._start(node)

    def pause(self, node: str) -> None:
        """Stop a node's program, as SIGSTOP does: what arrives waits in its sockets' buffers.

        Raises:
            UsageError: no program is there, or it does not run.
        """
        if (state := self._state_of(node)) != "running":
            raise UsageError(Problem("", f"the program of {node!r} is {state}", "one that runs"))
        self._pause(node)

    def resume(self, node: str) -> None:
        """Undo :meth:`pause`; timers that were due meanwhile fire at once.

        Raises:
            UsageError: no program is there, or it is not paused.
        """
        if (state := self._state_of(node)) != "paused":
            raise UsageError(Problem("", f"the program of {node!r} is {state}", "one that is paused"))
        self._resume(node)

    def _state_of(self, node: str) -> str:
        self._check_name(node, programs_of(self.network), "node with a program")
        return self._state(node)

    # Places

    async def move(self, endpoint: str, to: str, *, gap: str = "0s") -> None:
        """Take an endpoint off the network it is on, and attach it by another of its links.

        It gets the address that the topology plans for that link. Sockets of the old address stay open, and
        of no use. In between it is on no network for ``gap``.
        """
        self._check_endpoint(endpoint)
        links = [interface.link for interface in self.network.nodes[endpoint].interfaces]
        self._check_name(to, links, f"link of {endpoint}")
        seconds = parse_duration(gap, "gap")
        self._detach(endpoint)
        if seconds:
            await asyncio.sleep(seconds)
        self._attach(endpoint, to)

    # Names

    def _check_link(self, label: str) -> None:
        self._check_name(label, self.network.links, "link")

    def _check_nat(self, name: str) -> None:
        self._check_name(name, nat_boxes_of(self.network), "NAT box")

    def _check_endpoint(self, name: str) -> None:
        self._check_name(name, self.network.by_role.get(ENDPOINT, {}), "endpoint")

    def _check_name(self, name: str, known: Collection[str], kind: str) -> None:
        if name not in known:
            found = f"no {kind} {name!r} in {self.network.name}"
            raise UsageError(Problem("", found, suggestion=did_you_mean(name, known)))
