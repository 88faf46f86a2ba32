"""The keys of every event are those that the schema names beside its type."""

import inspect
import re

import lab.spec.event
from lab.spec.command import CandidatePolicy
from lab.spec.event import EventType

OF_EXTERNAL_PROGRAMS = {
    EventType.MEDIA_RTP,
    EventType.PROGRAM_REPORTED,
    EventType.SIP_REGISTERED,
    EventType.SIP_ANSWERED,
    EventType.SIP_COMPLETED,
    EventType.SIP_FAILED,
}
"""Virtual time has none."""

OF_THE_KERNEL = {
    EventType.TRIAL_STARTED: "stalled_before",
    EventType.TRIAL_ENDED: "stalled",
    EventType.CALL_STARTED: "signalling_only",
    EventType.ICE_CHECKING: "late",
    EventType.ICE_CONNECTED: "held_up",
    EventType.ICE_FAILED: "held_up",
}
"""Keys that tell how late a machine was, or what an external program is: virtual time knows neither."""


def documented():
    """Return the keys by type, from the comments: text in brackets explains, "; or" parts alternatives."""
    found = {}
    for line in inspect.getsource(lab.spec.event).splitlines():
        if match := re.fullmatch(r'    [A-Z_]+ = "([a-z_.]+)"  # (.*)', line):
            words = re.sub(r"\(.*?\)|\{.*?\}|\[\[.*?\]\].*", "", match[2])
            found[match[1]] = set(re.sub(r"; or ", ", ", words).replace(" ", "").split(","))
    return found


async def eventful(lab):
    """Direct and relayed calls, a cut, a reboot, an impairment, an hour in which permissions expire."""
    await lab.call("alice", "bob", policy=CandidatePolicy(candidates="no-relay"))
    await lab.call("alice", "bob", policy=CandidatePolicy(candidates="relay-only"), hold="700s")
    lab.impair("alice-access", delay="30ms", duplicate="20%", reorder="20%")
    lab.reboot_nat("alice-nat")
    await lab.hang_up("call-1")
    lab.cut("relay")
    await lab.call("bob", "alice")
    lab.flush_nat("bob-nat")
    lab.pause("bob")
    lab.resume("bob")
    lab.restart("bob")
    await lab.move("bob", "bob-home")
    await lab.sleep("700s")


def test_events_carry_the_keys_that_the_schema_names_and_all_of_them(play):
    known, seen = documented(), {}
    assert set(known) == set(EventType)
    for nat in ("port-restricted", "symmetric", "udp-blocked"):
        played = play("two_homes", eventful, permission_refresh="rfc8656", alice_nat=nat, bob_nat="symmetric")
        for event in played.events:
            seen.setdefault(event.type, set()).update(event.data)
    # A candidate has a problem where its name is not resolved: nobody in this network has such a name.
    seen[EventType.ICE_CANDIDATE].add("problem")
    for type_, key in OF_THE_KERNEL.items():
        seen[type_].add(key)
    assert seen == {type_: known[type_] for type_ in seen}
    assert set(EventType) - set(seen) - OF_EXTERNAL_PROGRAMS <= {
        EventType.ICE_NOMINATED,
        EventType.TURN_REFUSED,
        EventType.ROLE_FAILED,
    }
