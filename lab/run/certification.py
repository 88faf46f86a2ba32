"""Before a run counts: every NAT box of it is probed, once for each distinct configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.emu.certify import certify_on_kernel
from lab.errors import TrialInvalid
from lab.run.plan import Plan, distinct_networks
from lab.sim.certify import certify
from lab.spec.find import load_topology
from lab.spec.network import Network
from lab.spec.trial import KERNEL, VIRTUAL_TIME
from nat_models import NatModel


@dataclass(frozen=True, kw_only=True)
class BoxCertificate:
    """What a probe found of a box, in words by property, and how that differs from its model.

    ``plane`` is what carries it out in the kernel world, empty in virtual time.
    """

    model: NatModel
    found: Mapping[str, str]
    problems: Sequence[str]
    plane: str = ""


def certify_plan(plan: Plan) -> list[BoxCertificate]:
    """Return a certificate for every distinct box of a plan's networks, in order of appearance.

    Raises:
        UsageError: a network cannot be built.
        TrialInvalid: as :func:`certify_boxes`.
    """
    networks = [
        load_topology(trial.topology, trial.parameters, trial.inputs)
        for trial in distinct_networks(plan.trials)
    ]
    return certify_boxes(networks, world=plan.world, nat_plane=plan.trials[0].nat_plane)


def certify_boxes(
    networks: Iterable[Network], *, world: str = VIRTUAL_TIME, nat_plane: str = ""
) -> list[BoxCertificate]:
    """Return a certificate for every distinct box of the networks, in order of appearance.

    Each is built and probed in the ``world`` of the run; in the kernel world ``nat_plane`` carries it out.

    Raises:
        TrialInvalid: a box is not what its model claims; names each, with what was found instead.
    """
    boxes = {
        (node.nat, len(node.external_addresses)): None
        for network in networks
        for node in network.nodes.values()
        if node.nat is not None
    }
    counted = [(model, max(1, count)) for model, count in boxes]
    certificates = list(_on_kernel(counted, nat_plane) if world == KERNEL else _in_virtual_time(counted))
    failed = [certificate for certificate in certificates if certificate.problems]
    if failed:
        lines = [f"{c.model.name}: {problem}" for c in failed for problem in c.problems]
        raise TrialInvalid(
            "NAT boxes are not what they claim; the run would mean nothing\n  " + "\n  ".join(lines)
        )
    return certificates


def _in_virtual_time(boxes: Iterable[tuple[NatModel, int]]) -> Iterator[BoxCertificate]:
    for model, count in boxes:
        made = certify(model, external_addresses=count)
        yield BoxCertificate(model=model, found=made.findings.describe(), problems=made.problems)


def _on_kernel(boxes: Sequence[tuple[NatModel, int]], nat_plane: str) -> Iterator[BoxCertificate]:
    for made in certify_on_kernel(boxes, nat_plane=nat_plane):
        yield BoxCertificate(
            model=made.model, found=made.found, problems=made.problems, plane=made.plane.value
        )
