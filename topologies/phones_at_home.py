"""Two phones of one make in one home: both use the same local ports. Bob is at home elsewhere.

    alice --+
            lan --- home-nat --- internet --- bob-nat --- bob
    carol --+                     |    |
                              relay    rendezvous

What becomes of the second phone's port is the home NAT's to decide.
"""

from mininet.topo import Topo


class PhonesAtHome(Topo):
    """Alice and Carol behind one NAT, with the same local ports; Bob behind another."""

    def build(
        self,
        home_nat: str = "port-restricted",
        bob_nat: str = "port-restricted",
        phone_ports: str = "5060-5061",
        access_delay: str = "10ms",
        relay_delay: str = "5ms",
    ) -> None:
        """Build it.

        Args:
            home_nat: NAT model of the phones' home.
            bob_nat: NAT model of Bob's home.
            phone_ports: the local UDP ports of both phones: one for media, one more where TURN is used.
            access_delay: one-way delay of the access links.
            relay_delay: one-way delay between the relay and the internet.
        """
        access = {"delay": access_delay}

        self.addSwitch("lan", dpid="1")
        self.addHost("home-nat", role="nat", nat=home_nat, uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")

        for caller in ("alice", "carol"):
            self.addHost(caller, role="endpoint", udp_ports=phone_ports)
            self.addLink(caller, "lan", label=f"{caller}-lan")
        self.addLink("home-nat", "lan", label="home-lan")
        self.addLink("home-nat", "internet", label="home-access", impair=access)
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair=access)
        for server, delay in (("relay", relay_delay), ("rendezvous", "5ms")):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": delay})


topos = {"phones_at_home": PhonesAtHome}
