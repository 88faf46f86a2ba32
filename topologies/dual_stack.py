"""Two homes with IPv4 behind NATs and IPv6 from end to end: no traversal is needed where both have IPv6.

    alice --- alice-nat --- internet --- bob-nat --- bob
                             |    |
                         relay    rendezvous

The boxes route IPv6 untranslated.
"""

from mininet.topo import Topo


class DualStack(Topo):
    """Alice and Bob at home, with IPv4 through a NAT and IPv6 without one."""

    def build(
        self,
        alice_nat: str = "symmetric",
        bob_nat: str = "symmetric",
        alice_ipv6: bool = True,
        bob_ipv6: bool = True,
        access_delay: str = "10ms",
    ) -> None:
        """Build it.

        Args:
            alice_nat: NAT model of Alice's home, for IPv4.
            bob_nat: NAT model of Bob's home, for IPv4.
            alice_ipv6: Alice's provider has IPv6.
            bob_ipv6: Bob's provider has IPv6.
            access_delay: one-way delay of both access links.
        """
        self.addHost("internet", role="router")
        for caller, nat, ipv6 in (("alice", alice_nat, alice_ipv6), ("bob", bob_nat, bob_ipv6)):
            home, access = f"{caller}-nat", {"delay": access_delay}
            self.addHost(caller, role="endpoint")
            self.addHost(home, role="nat", nat=nat, uplink="internet")
            self.addLink(caller, home, label=f"{caller}-home", ipv6=ipv6)
            self.addLink(home, "internet", label=f"{caller}-access", ipv6=ipv6, impair=access)
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, ipv6=True, impair={"delay": "5ms"})


topos = {"dual_stack": DualStack}
