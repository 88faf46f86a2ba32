"""A box of the kernel world: set up in its network namespace, rebooted, and (by its namespace's end) gone."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lab.emu.nat_planes.capabilities import check
from lab.emu.nat_planes.engine import EngineBox
from lab.emu.nat_planes.kernel import kernel_rule_set
from lab.emu.nat_planes.nft import rule_set
from lab.emu.nat_planes.plane import NatPlane
from lab.emu.nat_planes.settings import ROUTER, connection_tracking, write_settings
from lab.emu.nat_planes.wiring import BoxWiring
from lab.emu.system_calls import inside_network
from lab.emu.timing.lateness import Lateness
from lab.errors import HostNotReady, UsageError
from nat_models.model import NatModel, Transparency

_DARK: Final = """\
table inet callpath_reboot
delete table inet callpath_reboot
table inet callpath_reboot {
    chain dark {
        type filter hook prerouting priority -500; policy drop;
    }
}
"""
_LIGHT: Final = "delete table inet callpath_reboot\n"


class Box(Protocol):
    """A running box, whatever carries it out."""

    def reboot(self) -> None:
        """Forget every mapping.

        Raises:
            HostNotReady: the box cannot be reached, or a program is missing.
        """

    def flush(self) -> None:
        """Forget every mapping and nothing else (:meth:`nat_models.Nat.flush`).

        Raises:
            HostNotReady: as for :meth:`reboot`.
        """

    def lateness(self) -> Mapping[str, float]:
        """Return how late a process of the lab's has carried packets (Lateness as data): none, none.

        Raises:
            HostNotReady: the process has ended.
        """

    def happened(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what happened since this was asked last: seconds of the monotonic clock, event type, data.

        Raises:
            HostNotReady: the process has ended.
        """

    def stop(self) -> None:
        """End what runs for the box beside its namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetfilterBox:
    """A box that netfilter is. ``namespace`` is the file of its network namespace."""

    namespace: str
    settings: Mapping[str, str]
    rules: str

    def start(self) -> None:
        """Load the rules and make the namespace a router.

        Raises:
            HostNotReady: no ``nft``, or the kernel refuses the rules or a setting.
        """
        with inside_network(self.namespace):
            # First, for where connection tracking is a module it is the rules that load it, and its settings.
            _run("nft", "-f", "-", text=self.rules)
            try:
                write_settings(self.settings)
            except OSError as error:
                raise HostNotReady(f"this kernel has not the setting {error.filename}: {error}") from None

    def reboot(self) -> None:
        """Forget every mapping: load the rules anew, and empty the connection-tracking table.

        Rules alone would not do: a packet from inside would find its old port in that table. Nor would one
        after the other: a packet between the two would bring its mapping along. So nothing passes meanwhile.

        Raises:
            HostNotReady: no ``nft`` or ``conntrack``.
        """
        with inside_network(self.namespace):
            _run("nft", "-f", "-", text=_DARK)
            _run("conntrack", "-F")
            _run("nft", "-f", "-", text=self.rules + _LIGHT)

    def flush(self) -> None:
        """Forget every mapping: netfilter keeps nothing else, so this is a reboot.

        Raises:
            HostNotReady: no ``nft`` or ``conntrack``.
        """
        self.reboot()

    def lateness(self) -> Mapping[str, float]:
        """Return that no process of the lab's carries packets: the kernel does."""
        return Lateness().as_data()

    def happened(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return nothing: netfilter tells of no mapping and of no packet that it drops."""
        return []

    def stop(self) -> None:
        """Do nothing: rules end with their namespace."""


def start_box(
    plane: NatPlane,
    model: NatModel,
    wiring: BoxWiring,
    namespace: str,
    *,
    seed: int = 0,
    sip_helper: bool = False,
) -> Box:
    """Return a box that runs.

    Args:
        plane: What carries it out.
        model: What it does.
        wiring: Its devices and networks. The devices are up; they have addresses and routes, but for the
            engine plane, which has them from the wiring: there the kernel must know none.
        namespace: The file of the network namespace (``/proc/PID/ns/net``).
        seed: Seeds random ports, of the engine plane only.
        sip_helper: Whether the kernel's SIP gateway rewrites what passes; of the kernel plane only.

    Raises:
        UsageError: the plane cannot be this model; every reason, with the plane that can.
        HostNotReady: the machine lacks something.
    """
    refusals = check(plane, model, external_addresses=len(wiring.external_addresses))
    if sip_helper and plane is not NatPlane.KERNEL:
        raise UsageError("a SIP gateway is the kernel's own: --nat-plane auto or kernel has it")
    if refusals:
        raise UsageError(*map(str, refusals))
    if plane is NatPlane.ENGINE:
        return EngineBox(namespace, model, wiring, seed=seed).start()
    settings = {**ROUTER, **({} if model.transparency is Transparency.NONE else connection_tracking(model))}
    if plane is NatPlane.KERNEL:
        rules = kernel_rule_set(model, wiring, sip_helper=sip_helper)
    else:
        rules = rule_set(model, wiring)
    box = NetfilterBox(namespace=namespace, settings=settings, rules=rules)
    box.start()
    return box


def _run(*command: str, text: str = "") -> None:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        package = {"nft": "nftables", "conntrack": "conntrack"}[command[0]]
        raise HostNotReady(
            f"{command[0]} is not installed\n  on Debian or Ubuntu: apt-get install {package}"
        ) from None
    if done.returncode:
        raise HostNotReady(f"{' '.join(command)}: {done.stderr.strip()}")
