"""Two homes with SIP phones, the registrar and proxy by which they call each other, and a public exchange.

    alice --- alice-nat --- internet --- bob-nat --- bob
                           |   |   |
                   registrar  pbx  relay, rendezvous

The registrar is Kamailio, so this network runs in the kernel world alone. Every link has a label to impair or
cut it by.
"""

from mininet.topo import Topo


class SipHomes(Topo):
    """Alice and Bob at home, each behind a NAT, and an exchange with a public address."""

    def build(
        self,
        alice_nat: str = "port-restricted",
        bob_nat: str = "port-restricted",
        alice_delay: str = "10ms",
        bob_delay: str = "10ms",
        sip_alg: bool = False,
    ) -> None:
        """Build it.

        Args:
            alice_nat: NAT model of Alice's home.
            bob_nat: NAT model of Bob's home.
            alice_delay: one-way delay of Alice's access link.
            bob_delay: one-way delay of Bob's access link.
            sip_alg: both boxes rewrite SIP, as the kernel's gateway does; on the kernel plane alone.
        """
        self.addHost("alice", role="endpoint")
        self.addHost("alice-nat", role="nat", nat=alice_nat, uplink="internet", sip_alg=sip_alg)
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet", sip_alg=sip_alg)
        self.addHost("pbx", role="endpoint")
        self.addHost("internet", role="router")
        self.addHost("registrar", role="sip_proxy")
        self.addHost("relay", role="relay")
        self.addHost("rendezvous", role="rendezvous")

        self.addLink("alice", "alice-nat", label="alice-home")
        self.addLink("alice-nat", "internet", label="alice-access", impair={"delay": alice_delay})
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair={"delay": bob_delay})
        for server in ("pbx", "registrar", "relay", "rendezvous"):
            self.addLink(server, "internet", label=server)


topos = {"sip_homes": SipHomes}
