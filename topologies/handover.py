"""A phone that is on the Wi-Fi of its home, and may move to the mobile network. Bob is at home elsewhere.

    alice --- home-nat ------+
      :                      internet --- bob-nat --- bob
      : . . . mobile-nat ----+    |    |
                              relay    rendezvous

The dotted link is not attached: nothing goes over it until a scenario moves Alice there.
"""

from mininet.topo import Topo


class Handover(Topo):
    """Alice on Wi-Fi, with a mobile network in reach; Bob behind a NAT of his own."""

    def build(
        self,
        home_nat: str = "port-restricted",
        mobile_nat: str = "cgn",
        bob_nat: str = "port-restricted",
        home_delay: str = "10ms",
        mobile_delay: str = "40ms",
        bob_delay: str = "10ms",
    ) -> None:
        """Build it.

        Args:
            home_nat: NAT model of Alice's home.
            mobile_nat: NAT model of the mobile carrier.
            bob_nat: NAT model of Bob's home.
            home_delay: one-way delay of the home's access link.
            mobile_delay: one-way delay between the phone and the carrier's NAT.
            bob_delay: one-way delay of Bob's access link.
        """
        self.addHost("alice", role="endpoint")
        self.addHost("home-nat", role="nat", nat=home_nat, uplink="internet")
        self.addHost("mobile-nat", role="nat", nat=mobile_nat, uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")

        self.addLink("alice", "home-nat", label="alice-wifi")
        self.addLink("home-nat", "internet", label="home-access", impair={"delay": home_delay})
        mobile = {"delay": mobile_delay}
        self.addLink("alice", "mobile-nat", label="alice-mobile", impair=mobile, attached=False)
        self.addLink("mobile-nat", "internet", label="mobile-core", impair={"delay": "5ms"})
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair={"delay": bob_delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"handover": Handover}
