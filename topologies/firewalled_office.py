"""An office that lets little out: desks, a router, a firewall that is also the NAT. Bob is at home.

    alice --- floor --- office --- firewall --- internet --- bob-nat --- bob
                |                                |    |
              carol                          relay    rendezvous

With "udp-blocked" media has to go by TURN over TCP, with "tcp-443-only" by TURN over TLS on the web's port.
"""

from mininet.topo import Topo


class FirewalledOffice(Topo):
    """Alice and Carol in an office behind a firewall; Bob at home."""

    def build(
        self,
        firewall: str = "udp-blocked",
        bob_nat: str = "port-restricted",
        access_delay: str = "10ms",
        relay_delay: str = "5ms",
    ) -> None:
        """Build it.

        Args:
            firewall: model of the office's firewall, for example "udp-blocked" or "tcp-443-only".
            bob_nat: NAT model of Bob's home.
            access_delay: one-way delay of the office's and of Bob's access link.
            relay_delay: one-way delay between the relay and the internet.
        """
        access = {"delay": access_delay}

        self.addSwitch("floor", dpid="1", subnet="10.1.0.0/16")
        self.addHost("office", role="router", uplink="firewall")
        self.addHost("firewall", role="nat", nat=firewall, uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")

        for caller in ("alice", "carol"):
            self.addHost(caller, role="endpoint")
            self.addLink(caller, "floor", label=f"{caller}-desk")
        self.addLink("office", "floor", label="office-floor")
        self.addLink("office", "firewall", label="office-exit", subnet="10.0.0.0/30")
        self.addLink("firewall", "internet", label="office-access", impair=access)
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair=access)
        for server, delay in (("relay", relay_delay), ("rendezvous", "5ms")):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": delay})


topos = {"firewalled_office": FirewalledOffice}
