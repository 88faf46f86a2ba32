"""``callpath predict ALICE_NAT BOB_NAT``, or on a topology."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from lab.cli.parameters import parse_assignments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.measure.predict import PeerNetwork, Prediction, RelayPlacement


_OF_PAIRS: Final = {
    "nats": "NATs by name",
    "relay": "--relay",
    "permission_key": "--permission-key",
    "separate_stun": "--separate-stun",
}
_OF_TOPOLOGIES: Final = {"between": "--between", "assignments": "--set"}
"""What only one of the two ways to ask takes; a topology says the rest itself."""


@click.command("predict")
@click.argument("nats", nargs=-1, metavar="[ALICE_NAT BOB_NAT]")
@click.option("--topology", help="Predict between two hosts of a topology instead.")
@click.option("--between", nargs=2, default=("alice", "bob"), show_default=True, help="The two hosts.")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter of the topology."
)
@click.option(
    "--relay", type=click.Choice(["both", "alice", "bob", "none"]), default="both", show_default=True,
    help="Who has a TURN server.",
)  # fmt: skip
@click.option(
    "--permission-key", type=click.Choice(["ip", "ip-port"]), default="ip", show_default=True,
    help="What a TURN permission names: ip is RFC 8656, ip-port a known fault.",
)  # fmt: skip
@click.option(
    "--separate-stun", is_flag=True, help="STUN and TURN do not share an address (pairs of NATs alone)."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    nats: tuple[str, ...],
    topology: str | None,
    between: tuple[str, str],
    assignments: tuple[str, ...],
    relay: str,
    permission_key: str,
    separate_stun: bool,
    as_json: bool,
) -> None:
    """Say which paths two NATs make possible, from their models alone; without arguments, a matrix of all.

    A NAT is a preset (symmetric), a pair of axes (apdm-adf), or one with changes
    (symmetric{reply_reuse: off}). Several NATs of one side, innermost first, are joined by "+":
    port-restricted+cgn.
    """
    from lab.measure.predict import PermissionKey, PresentFor, RelayPlacement

    _refuse(_OF_PAIRS if topology is not None else _OF_TOPOLOGIES, given_topology=topology is not None)
    placement = RelayPlacement(
        present_for=PresentFor[relay.upper()],
        permission_key=PermissionKey(permission_key),
        stun_shares_address=not separate_stun,
    )
    if topology is not None:
        _show(_on_topology(topology, between, assignments), as_json)
    elif len(nats) == 2:
        from lab.measure.predict import predict

        _show(predict(_peer(nats[0]), _peer(nats[1]), placement), as_json)
    elif not nats:
        _show_matrix(placement, as_json)
    else:
        raise click.UsageError(f"two NATs, one of each side, or none; got {len(nats)}: {' '.join(nats)}")


def _refuse(options: Mapping[str, str], *, given_topology: bool) -> None:
    context = click.get_current_context()
    beside = "cannot be given with --topology" if given_topology else "needs --topology"
    for parameter, words in options.items():
        if (
            context.params[parameter]
            and context.get_parameter_source(parameter) is not ParameterSource.DEFAULT
        ):
            raise click.UsageError(f"{words} {beside}")


def _on_topology(topology: str, between: tuple[str, str], assignments: tuple[str, ...]) -> Prediction:
    from lab.measure.predict.from_network import predict_call
    from lab.spec.find import load_topology

    parameters = {name: values[0] for name, values in parse_assignments(assignments).items()}
    return predict_call(load_topology(topology, parameters), *between)


def _peer(text: str) -> PeerNetwork:
    from lab.measure.predict import PeerNetwork
    from lab.spec.nat_names import load_nat

    return PeerNetwork(layers=tuple(load_nat(name, "", "NAT") for name in text.split("+")))


def _show(prediction: Prediction, as_json: bool) -> None:
    from lab.measure.predict import explain, sorted_pairs

    if not as_json:
        click.echo(explain(prediction))
        return
    document = {
        "reach": prediction.reach.value,
        "possible": [[a.value, b.value] for a, b in sorted_pairs(prediction.possible)],
        "blocked": {f"{a.value} {b.value}": why for (a, b), why in sorted(prediction.blocked.items())},
    }
    click.echo(json.dumps(document, indent=2))


def _show_matrix(placement: RelayPlacement, as_json: bool) -> None:
    from lab.measure.predict import PeerNetwork, predict
    from nat_models import presets

    peers = {name: PeerNetwork(layers=(model,)) for name, model in presets().items()}
    reaches = {(a, b): predict(peers[a], peers[b], placement).reach for a in peers for b in peers}
    if as_json:
        click.echo(
            json.dumps([{"alice": a, "bob": b, "reach": r.value} for (a, b), r in reaches.items()], indent=2)
        )
        return
    symbols = {"direct": "●", "relay": "▲", "none": "✕"}
    width = max(map(len, peers)) + 4
    click.echo(" " * width + "".join(f"{number:>3}" for number in range(1, len(peers) + 1)))
    for number, a in enumerate(peers, 1):
        cells = "".join(f"{symbols[reaches[a, b].value]:>3}" for b in peers)
        click.echo(f"{number:>2} {a:<{width - 3}}{cells}")
    click.echo("\n● direct possible   ▲ relay only   ✕ no path   (columns are numbered as the rows)")
