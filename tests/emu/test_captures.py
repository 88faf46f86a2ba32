"""Captures on the kernel: every packet of every interface, as Wireshark reads it, with what became of it."""

import json
import subprocess

import pytest
from mininet.topo import Topo

from lab.emu.captures.tap import Befell, Taps, TapSetup
from lab.emu.lab import _cuts, emulate
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import Event, EventType
from lab.spec.plan import plan_network

PACKET = bytes.fromhex("45000020000000004011b5c0c00002010a000001 1388 0d96 000c 0000 00000000")
MEDIA = MediaPlan(packets=20)


STRAY = """\
import socket
socket.socket(type=socket.SOCK_DGRAM).sendto(b"nobody asked for this", ("{address}", 9))
"""


class HomeAndOffice(Topo):
    """Alice behind a box, on a link that loses; Bob in public, on one that is cut."""

    def build(self) -> None:
        self.addHost("internet", role="router")
        self.addHost("alice", role="endpoint")
        self.addHost("alice-nat", role="nat", nat="port-restricted", uplink="internet")
        self.addLink("alice", "alice-nat", label="home", subnet="192.168.1.0/24")
        self.addLink("alice-nat", "internet", label="access", impair={"delay": "2ms", "loss_exactly": "1/10"})
        for name, role in (("bob", "endpoint"), ("relay", "relay"), ("rendezvous", "rendezvous")):
            self.addHost(name, role=role)
            self.addLink(name, "internet", label=name)


def tshark(file, *options):
    """Return the packets that tshark reads, as a list of fields by name."""
    command = ["tshark", "-r", str(file), "-T", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """Return (events, capture's file) of one call."""

    async def scenario(lab):
        policy = CandidatePolicy(candidates="no-relay")
        await lab.call("alice", "bob", policy=policy, media=MEDIA)
        lab.cut("bob")
        await lab.send_media("call-1", MediaPlan(packets=5))
        lab.heal("bob")
        await lab.send_media("call-1", MediaPlan(packets=5))
        await lab._agent.ask("run", node="bob", command=["python3", "-c", STRAY.format(address=outside)])
        await lab.sleep("100ms")

    network = plan_network(HomeAndOffice(), "home and office")
    (outside,) = network.nodes["alice-nat"].external_addresses
    played = emulate(
        network, scenario, {}, run_seed=3, trial_key="t", deadline=60.0, nat_plane="engine", capture=True
    )
    file = tmp_path_factory.mktemp("capture") / "call.pcapng"
    file.write_bytes(played.pcapng)
    assert "capture" not in played.outputs, "nothing is missing"
    return played.events, file


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "tshark")
def test_a_capture_has_every_packet_with_its_checksum_and_what_became_of_it(captured):
    events, file = captured
    fields = (
        "frame.time_epoch frame.interface_name frame.packet_flags_direction frame.comment ip.src udp.length"
    )
    rows = [
        {name: layers.get(name, [""])[0] for name in fields.split()}
        for layers in tshark(file, *(part for name in fields.split() for part in ("-e", name)))
    ]
    checked = [
        "-o",
        "udp.check_checksum:TRUE",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ]
    bad = "udp.checksum.status == 0 || tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed"
    assert tshark(file, *checked, "-Y", bad) == []

    media = [row for row in rows if row["udp.length"] == str(MEDIA.size + 8)]
    sent = [event for event in events if event.type is EventType.MEDIA_SENT and event.node == "alice"]
    leaving = [row for row in media if row["frame.interface_name"] == "alice:home" and is_sent(row)]
    assert len(leaving) == len(sent)
    for row, event in zip(leaving, sent, strict=True):
        assert abs(float(row["frame.time_epoch"]) - event.time) < 0.5  # told when it has been sent
    from_home = [row for row in media if is_sent(row)]
    inside, outside = (
        {row["ip.src"] for row in from_home if row["frame.interface_name"] == name}
        for name in ("alice:home", "alice-nat:access")
    )
    assert inside == {"192.168.1.10"}
    assert inside.isdisjoint(outside)
    assert len(outside) == 1

    told = [row["frame.comment"] for row in rows if row["frame.comment"]]
    lost = [event for event in dropped(events) if " from " in event.node]
    reasons = sorted(f"{event.node}: {event.data['reason']}" for event in lost)
    on_link = sorted(f"{text.split()[2]} from {text.split()[4]}: {text.partition(' s: ')[2]}" for text in told
                     if " from " in text.partition(":")[0] and " is cut" not in text)  # fmt: skip
    assert len(lost) > 5
    assert on_link == reasons
    cut = [text for text in told if " is cut" in text]
    assert set(cut) == {
        "dropped at bob from bob: link bob from bob is cut",
        "dropped at bob from internet: link bob from internet is cut",
    }
    assert len(cut) >= 8, "five media packets each way, but for those that the other link has lost"


def dropped(events):
    return [event for event in events if event.type is EventType.PACKET_DROPPED]


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "tshark")
def test_what_a_box_in_userspace_drops_is_an_event_and_said_where_it_came_in(captured):
    events, file = captured
    (stray,) = [event for event in dropped(events) if ":9 (" in event.data["packet"]]
    assert stray.node == "alice-nat"
    assert stray.data["reason"] == "no mapping on port 9"
    mappings = [event for event in events if event.type is EventType.NAT_MAPPING_CREATED]
    assert {(event.node, event.data["protocol"]) for event in mappings} >= {("alice-nat", "udp")}
    fields = ("frame.interface_name", "frame.packet_flags_direction", "frame.comment")
    shown = [part for name in fields for part in ("-e", name)]
    records = tshark(file, "-Y", "udp.dstport == 9", *shown)
    assert [is_sent({name: values[0] for name, values in record.items()}) for record in records][-1] is False
    comments = [record["frame.comment"][0] for record in records if "frame.comment" in record]
    assert comments == [f"dropped at alice-nat at {stray.time:.6f} s: {stray.data['reason']}"]


def is_sent(row):
    return row["frame.packet_flags_direction"] in {"0x00000002", "2"}


def test_what_has_no_room_is_counted_and_said_in_the_file(tmp_path):
    setup = TapSetup(
        network=plan_network(HomeAndOffice(), "home and office"), devices={}, origin=0.0,
        file=str(tmp_path / "c.pcapng"), most_bytes=100,
    )  # fmt: skip
    taps = Taps(setup)
    frame = bytes(12) + b"\x08\x00" + PACKET
    for number in range(5):
        taps._keep(("alice", "home"), number / 10, bytes(10), frame, outbound=True)
    taken = taps.write(Befell())
    assert (taken.packets, taken.left_out, taken.unseen) == (2, 3, 0)
    assert "3 packets beyond the first" in taken.complaint
    assert b"Not all is here: 3 packets beyond" in (tmp_path / "c.pcapng").read_bytes()


def test_cuts_are_spans_and_one_that_is_not_healed_lasts_to_the_end():
    def changed(time, link, settings):
        return Event(time=time, type=EventType.LINK_CHANGED, data={"link": link, "settings": settings})

    settings = [(1, "a", "cut"), (2, "a", "cut"), (3, "b", "cut"), (4, "a", "healed"), (5, "a", "healed")]
    events = [*(changed(*one) for one in settings), changed(6, "c", {"delay": "1ms"})]
    assert _cuts(events, 9.0) == [("a", 1, 4), ("b", 3, 9.0)]
