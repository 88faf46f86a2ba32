"""From a NAT model to the rule set of a box: a pure function.

The text is deterministic, is read by ``nft -f -``, and replaces what was there in one step, state included:
loading it again together with emptying the connection-tracking table (``conntrack -F``) is a reboot. Keep the
generated text: what ``nft list ruleset`` prints of it can not be loaded again.
"""

from __future__ import annotations

from lab.emu.nat_planes.nft.filtering import filter_chains
from lab.emu.nat_planes.nft.lifetimes import LifetimeClass, tcp_classes, udp_classes
from lab.emu.nat_planes.nft.outbound_rules import outbound_rule_chains
from lab.emu.nat_planes.nft.recording import recording_chains
from lab.emu.nat_planes.nft.state import ProtocolState
from lab.emu.nat_planes.nft.text import Table
from lab.emu.nat_planes.nft.translation import preserves, translation_chains
from lab.emu.nat_planes.nft.untranslated import firewall_table
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.model import Filtering, Mapping, NatModel, PortAssignment, Transparency


def rule_set(model: NatModel, wiring: BoxWiring) -> str:
    """Return the rules of a box.

    The model must be one that the plane can be: see :func:`lab.emu.nat_planes.check`.
    """
    if model.transparency is Transparency.NONE:
        return "".join(Table(family=family, states=(), chains=()).text() for family in ("ip", "ip6"))
    tables = [firewall_table(model, wiring, "ip6", protocol_states(model, "ip6"))]
    if model.transparency is Transparency.FIREWALL:
        tables.insert(0, firewall_table(model, wiring, "ip", protocol_states(model, "ip")))
    else:
        tables.insert(0, _translating_table(model, wiring))
    head = f"# {model.name}: {model.description}" if model.description else f"# {model.name}"
    return head + "\n" + "\n".join(table.text() for table in tables)


def _translating_table(model: NatModel, wiring: BoxWiring) -> Table:
    states = protocol_states(model, "ip", wiring.external_addresses)
    chains = [
        *outbound_rule_chains(model.outbound_rules, "ip", wiring),
        *filter_chains(model, wiring, states),
        *translation_chains(model, wiring, states),
        *recording_chains(states, wiring.external_addresses, model.hairpinning, model.lifetimes.udp_refresh),
    ]
    declarations = [declaration for state in states for declaration in state.declarations()]
    return Table(family="ip", states=declarations, chains=chains)


def protocol_states(
    model: NatModel, family: str, external: tuple[str, ...] = ()
) -> tuple[ProtocolState, ProtocolState]:
    """Return the sets of UDP and TCP; without ``external`` addresses nothing is translated."""
    known = bool(external) and model.port_assignment is PortAssignment.PRESERVE_SYMMETRIC

    def state(
        protocol: str, mapping: Mapping, filtering: Filtering, classes: tuple[LifetimeClass, ...]
    ) -> ProtocolState:
        return ProtocolState(
            protocol=protocol,
            family=family,
            mapping=mapping if external else Mapping.ENDPOINT_INDEPENDENT,
            filtering=filtering,
            scope=model.filter_scope,
            classes=classes,
            translates=bool(external),
            counts_known=known,
            address_slots=external if preserves(model) else (),
        )

    return (
        state("udp", model.mapping, model.filtering, udp_classes(model.lifetimes)),
        state("tcp", model.tcp.mapping, model.tcp.filtering, tcp_classes(model.lifetimes)),
    )
