"""RFC 4787, 5382, 5508, 6888 and 7857 as statements that are run against the engine.

Every statement drives packets through boxes built from the model and judges by what comes out; none reads the
model to reach its verdict. Some configure the box first, as an administrator would (a small pool, a limit),
where the requirement is about that.
"""

from __future__ import annotations

from nat_models.conformance.finding import Finding, Level, Needs, Statement, Verdict
from nat_models.conformance.probe import HOST, REMOTE, WEB, Probe
from nat_models.conformance.rfc4787 import RFC4787
from nat_models.conformance.rfc5382 import RFC5382, RFC7857
from nat_models.conformance.rfc5508 import RFC5508
from nat_models.conformance.rfc6888 import RFC6888
from nat_models.model import NatModel
from nat_models.packet import TransportAddress

__all__ = ["Finding", "Level", "Statement", "Verdict", "check_nat_model", "statements", "unmet_needs"]


def statements() -> tuple[Statement, ...]:
    """Return every statement, document by document."""
    catalogues = (RFC4787, RFC5382, RFC5508, RFC6888, RFC7857)
    return tuple(statement for catalogue in catalogues for statement in catalogue.statements)


def check_nat_model(model: NatModel) -> list[Finding]:
    """Return one finding for each statement, in order."""
    probe = Probe(model)
    unmet = unmet_needs(probe)
    return [_finding(model, probe, statement, unmet) for statement in statements()]


def _finding(model: NatModel, probe: Probe, statement: Statement, unmet: dict[Needs, str]) -> Finding:
    if statement.needs in unmet:
        verdict, evidence = Verdict.NOT_APPLICABLE, unmet[statement.needs]
    else:
        verdict, evidence = statement.check(probe)
    return Finding(
        model=model.name,
        requirement=f"{statement.document} {statement.requirement}",
        level=statement.level,
        text=statement.text,
        verdict=verdict,
        evidence=evidence,
    )


def unmet_needs(probe: Probe) -> dict[Needs, str]:
    """Return what the box is not seen to do, with what was seen instead."""
    if probe.box().into(REMOTE, HOST) == HOST:
        return dict.fromkeys(Needs, "A stranger's first packet passes: nothing is translated or filtered.")
    unmet: dict[Needs, str] = {}
    _note(unmet, probe.box().out(HOST, REMOTE), Needs.UDP, Needs.UDP_TRANSLATION, "UDP packet")
    _note(unmet, probe.box().connect(HOST, WEB), Needs.TCP, Needs.TCP_TRANSLATION, "TCP connection")
    if probe.box().ping(HOST[0], 7, REMOTE[0]) is None:
        unmet[Needs.QUERIES] = "No ICMP query passes."
    return unmet


def _note(
    unmet: dict[Needs, str], seen: TransportAddress | None, passing: Needs, translation: Needs, what: str
) -> None:
    if seen is None:
        unmet[passing] = unmet[translation] = f"No {what} passes."
    elif seen[0] == HOST[0]:
        unmet[translation] = f"A {what} leaves with its own source address: nothing is translated."
