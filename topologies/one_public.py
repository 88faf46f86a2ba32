"""Alice has a public address and no NAT, Bob is at home: whoever is behind the NAT opens the way.

alice --- internet --- bob-nat --- bob
           |    |
       relay    rendezvous

"""

from mininet.topo import Topo


class OnePublic(Topo):
    """Alice on the public internet, Bob behind a NAT."""

    def build(
        self, bob_nat: str = "port-restricted", alice_delay: str = "10ms", bob_delay: str = "10ms"
    ) -> None:
        """Build it.

        Args:
            bob_nat: NAT model of Bob's home.
            alice_delay: one-way delay of Alice's access link.
            bob_delay: one-way delay of Bob's access link.
        """
        self.addHost("alice", role="endpoint")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")

        self.addLink("alice", "internet", label="alice-access", impair={"delay": alice_delay})
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair={"delay": bob_delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"one_public": OnePublic}
