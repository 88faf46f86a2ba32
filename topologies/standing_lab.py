"""Two homes behind a NAT each, and servers, on one public segment: the lab that docker-compose.yml keeps.

    alice --- alice-nat --- public --- bob-nat --- bob
                            |    |
                        relay    rendezvous

In the file that `callpath compose` writes the relay is coturn.
"""

from mininet.topo import Topo


class StandingLab(Topo):
    """Alice and Bob at home, each behind a NAT, on one public segment."""

    def build(
        self,
        alice_nat: str = "port-restricted",
        bob_nat: str = "port-restricted",
        alice_delay: str = "10ms",
        bob_delay: str = "10ms",
        alice_loss: str = "0%",
        bob_loss: str = "0%",
        relay_delay: str = "5ms",
    ) -> None:
        """Build it.

        Args:
            alice_nat: NAT model of Alice's home.
            bob_nat: NAT model of Bob's home.
            alice_delay: one-way delay of Alice's access link.
            bob_delay: one-way delay of Bob's access link.
            alice_loss: loss on Alice's access link, either way.
            bob_loss: loss on Bob's access link, either way.
            relay_delay: one-way delay between the relay and the segment.
        """
        self.addSwitch("public", dpid="1")
        for name, nat, delay, loss in (
            ("alice", alice_nat, alice_delay, alice_loss),
            ("bob", bob_nat, bob_delay, bob_loss),
        ):
            self.addHost(name, role="endpoint")
            self.addHost(f"{name}-nat", role="nat", nat=nat, uplink="public")
            self.addLink(name, f"{name}-nat", label=f"{name}-home")
            access = {"delay": delay, "loss": loss}
            self.addLink(f"{name}-nat", "public", label=f"{name}-access", impair=access)
        self.addHost("relay", role="relay")
        self.addLink("relay", "public", label="relay", impair={"delay": relay_delay})
        self.addHost("rendezvous", role="rendezvous")
        self.addLink("rendezvous", "public", label="rendezvous")


topos = {"standing_lab": StandingLab}
