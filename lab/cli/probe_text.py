"""What a probe found, for people and for programs, with what it means for calls."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lab.measure.predict import PeerNetwork, PresentFor, Reach, RelayPlacement, predict
from lab.protocols.behaviour_discovery import alternatives
from nat_models import load_preset
from nat_models.model import Transparency
from nat_models.packet import format_address

if TYPE_CHECKING:
    from lab.protocols.behaviour_discovery import Classification, Findings, Observed
    from lab.run.field_probe import FieldProbe
    from nat_models.model import NatModel

PEERS: Final = (
    "none",
    "full-cone",
    "restricted",
    "port-restricted",
    "symmetric-address-restricted",
    "symmetric",
    "stateful-firewall",
    "udp-blocked",
)
"""The other side of the calls that are predicted: the classic names."""
_AXES: Final = (
    ("transparency", "does the path translate addresses?"),
    ("mapping", "which remotes see one port"),
    ("filtering", "who may send in"),
    ("filter_scope", "whose sending opens the filter"),
    ("reply_reuse", "by which mapping a reply leaves"),
    ("port_assignment", "how ports are chosen"),
    ("pooling", "how external addresses are chosen"),
    ("hairpinning", "may two inside meet outside"),
    ("unsolicited", "what becomes of the rest"),
    ("fragments", "do fragments pass"),
)
_WORD: Final[dict[object, str]] = {True: "yes", False: "no"}
_WORDS: Final = {
    Reach.DIRECT: "a direct path is possible",
    Reach.RELAY: "only through a relay",
    Reach.NONE: "no path",
}


def as_text(probe: FieldProbe, found: Classification, *, classified: bool) -> str:
    """Return the findings, axis by axis, and what they mean for calls."""
    findings = _findings(probe)
    lines = [
        f"{format_address(findings.local)} is seen as {_mapped(findings)}",
        "",
        _headline(found, classified),
    ]
    for axis, meaning in _AXES:
        lines.append(f"  {axis.replace('_', ' '):<16} {meaning:<36} {_observed(getattr(findings, axis))}")
    lines += [f"  {'lifetime':<16} {words}" for words in _lifetimes(probe)]
    lines += [f"  note: {note}" for note in findings.notes]
    lines += ["", "Calls from here to a peer behind:"]
    lines += [
        f"  {peer:<30} {_reach_words(reaches)}" for peer, reaches in reaches_of(findings, found).items()
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_data(probe: FieldProbe, found: Classification, *, classified: bool) -> dict[str, Any]:
    """Return the same as plain values."""
    findings = _findings(probe)
    axes = {}
    for axis, _ in _AXES:
        observed = getattr(findings, axis)
        possible = [getattr(value, "value", value) for value in observed.possible]
        axes[axis] = {"settled": observed.is_settled, "possible": possible, "why": observed.why}
    reaches = reaches_of(findings, found)
    return {
        "server": format_address(findings.server),
        "reachable": True,
        "local": format_address(findings.local),
        "mapped": _mapped(findings),
        "other": format_address(findings.other) if findings.other else None,
        "classified": classified,
        "axes": axes,
        "lifetimes": {
            "answered": _bounds(probe.bounds.answered),
            "unanswered": _bounds(probe.bounds.unanswered),
            "refresh": [value.value for value in probe.bounds.refresh.possible],
        },
        "assumed": dict(found.assumed),
        "calls": {peer: [reach.value for reach in reach_list] for peer, reach_list in reaches.items()},
        "notes": list(findings.notes),
    }


def with_sources(found: Classification, probe: FieldProbe, server: str) -> NatModel:
    """Return the model with its description: when and how it was measured, and what in it was not."""
    findings = _findings(probe)
    day = dt.datetime.now(tz=dt.UTC).date().isoformat()
    sources = [
        f"Measured by callpath probe {server} on {day}, from {findings.local[0]} as {_mapped(findings)}."
    ]
    if found.assumed:
        words = "; ".join(f"{axis.replace('_', ' ')} ({why})" for axis, why in found.assumed)
        sources.append(f"Not measured, defaults of the lab: {words}.")
    sources += [f"Lifetime: {words} (of two bounds the lower is taken)." for words in _lifetimes(probe)]
    sources.append("TCP is taken to map and filter as UDP does; it was not probed.")
    sources += [f"Noted: {note}" for note in findings.notes]
    description = f"What callpath probe found on the path to {server}."
    return replace(found.model, description=description, sources=tuple(sources))


def reaches_of(findings: Findings, found: Classification) -> dict[str, list[Reach]]:
    """Return the best that calls to each kind of peer can come to, one for every model that fits."""
    models = alternatives(findings, found.model)
    relay = RelayPlacement(present_for=PresentFor.BOTH, stun_shares_address=True)
    reaches = {}
    for peer in PEERS:
        other = PeerNetwork(layers=(load_preset(peer),))
        of_peer = {predict(PeerNetwork(layers=(model,)), other, relay).reach for model in models}
        reaches[peer] = [reach for reach in Reach if reach in of_peer]
    return reaches


def _reach_words(reaches: list[Reach]) -> str:
    return " or ".join(_WORDS[reach] for reach in reaches)


def _observed(observed: Observed[object]) -> str:
    """Return the value, or what it may be and why that is not seen."""
    words = [_WORD.get(value, str(getattr(value, "value", value))) for value in observed.possible]
    if observed.is_settled:
        return words[0]
    return f"unknown: {observed.why}" + (f" ({' or '.join(words)})" if words else "")


def _headline(found: Classification, classified: bool) -> str:
    if not classified:
        return "Not classified; what can be told:"
    model = found.model
    if model.transparency is Transparency.NONE:
        return "Classification: none - no NAT and no filter on the path"
    filtering = f"{model.filtering.value} filtering"
    if model.transparency is Transparency.FIREWALL:
        return f"Classification: firewall without translation, {filtering}"
    classic = next((name for name in PEERS if _alike(model, load_preset(name))), "")
    words = f"{model.mapping.value} mapping, {filtering}"
    return f"Classification: {classic} ({words})" if classic else f"Classification: {words}"


def _alike(a: NatModel, b: NatModel) -> bool:
    return (a.transparency, a.mapping, a.filtering) == (b.transparency, b.mapping, b.filtering)


def _lifetimes(probe: FieldProbe) -> list[str]:
    named = {"answered": probe.bounds.answered, "unanswered": probe.bounds.unanswered}
    lines = [f"{name} mappings live {_between(*bounds)}" for name, bounds in named.items() if bounds]
    if probe.bounds.answered and probe.bounds.refresh.why != "not probed":
        lines.append(f"refreshed by: {probe.bounds.refresh.describe()}")
    return lines


def _between(low: float, high: float) -> str:
    return f"longer than {low:.1f} s" if math.isinf(high) else f"{low:.1f} to {high:.1f} s"


def _bounds(bounds: tuple[float, float] | None) -> list[float | None] | None:
    """Return the bounds; JSON knows no infinity."""
    return bounds and [None if math.isinf(bound) else bound for bound in bounds]


def _findings(probe: FieldProbe) -> Findings:
    assert probe.findings is not None, "something was found"
    return probe.findings


def _mapped(findings: Findings) -> str:
    return format_address(findings.mapped) if findings.mapped else "unknown"
