"""What `callpath show` prints."""

from mininet.topo import Topo

from lab.report.network_text import format_network
from lab.spec.plan import plan_network


class Small(Topo):
    """One of everything."""

    def build(self):
        self.addHost("alice", role="endpoint")
        self.addSwitch("lan", dpid="1", ipv6=True)
        self.addHost("box", role="nat", nat="symmetric", uplink="core")
        self.addHost("core", role="router")
        self.addHost("relay", role="relay", permission_refresh="rfc8656")
        self.addLink("alice", "lan", label="desk")
        self.addLink("box", "lan", label="lan")
        self.addLink("box", "core", label="access", ipv6=True, impair={"delay": "20ms", "jitter": "5ms"})
        self.addLink(
            "relay",
            "core",
            label="relay",
            impair={"forward": {"rate": "1Mbit/s"}, "backward": {"loss": "1%"}},
        )


TEXT = """\
topology small

nodes
  alice  (endpoint)
    desk  192.168.1.10/24, 2001:db8:1::10/64
    default         via 192.168.1.1    on desk
    default (IPv6)  via 2001:db8:1::1  on desk
  lan  (switch)
  box  (nat, symmetric)
    lan     inside   192.168.1.1/24, 2001:db8:1::1/64
    access  outside  203.0.113.10/24, 2001:db8:2::10/64
    default         via 203.0.113.1    on access
    default (IPv6)  via 2001:db8:2::1  on access
  core  (router)
    access  203.0.113.1/24, 2001:db8:2::1/64
    relay   198.51.100.1/24
    2001:db8:1::/64  via 2001:db8:2::10  on access
  relay  (relay, permission_refresh=rfc8656)
    relay  198.51.100.10/24, 198.51.100.11/24
    default  via 198.51.100.1  on relay

links
  desk    alice <-> lan   perfect
  lan     box <-> lan     perfect
  access  box <-> core    delay 20 ms +/- 5 ms
  relay   relay  -> core  rate 1 Mbit/s (queue 256 KiB)
          relay <-  core  loss 1%

host names
  relay.test  198.51.100.10, 198.51.100.11"""


def test_everything_that_was_derived_is_shown():
    assert format_network(plan_network(Small(), "small")) == TEXT


def test_it_is_plain_ascii_without_trailing_spaces():
    text = format_network(plan_network(Small(), "small"))
    assert text.isascii()
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_without_public_hosts_there_are_no_names_to_show():
    class Routers(Topo):
        def build(self):
            self.addHost("r1", role="router")
            self.addHost("r2", role="router")
            self.addLink("r1", "r2", label="wire")

    text = format_network(plan_network(Routers(), "routers"))
    assert text.endswith("links\n  wire  r1 <-> r2  perfect")
