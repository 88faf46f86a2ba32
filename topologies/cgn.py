"""A home behind a carrier-grade NAT: translated twice, the outer box shared with other customers.

    alice --- alice-nat --- alice-cgn --- internet --- (bob-cgn ---) bob-nat --- bob
                                           |    |
                                       relay    rendezvous

Between home and carrier lies the shared address space of RFC 6598.
"""

from mininet.topo import Topo


class Cgn(Topo):
    """Alice behind a carrier-grade NAT; Bob behind another one if asked, or in the same carrier's network."""

    def build(
        self,
        alice_nat: str = "port-restricted",
        alice_cgn: str = "cgn",
        bob_nat: str = "port-restricted",
        bob_cgn: str = "",
        one_carrier: bool = False,
        cgn_addresses: int = 4,
        access_delay: str = "10ms",
    ) -> None:
        """Build it.

        Args:
            alice_nat: NAT model of Alice's home.
            alice_cgn: NAT model of Alice's carrier.
            bob_nat: NAT model of Bob's home.
            bob_cgn: NAT model of Bob's carrier; empty: Bob's home has a public address.
            one_carrier: Bob is another customer of Alice's carrier (and ``bob_cgn`` is not used).
            cgn_addresses: how many public addresses a carrier's pool has.
            access_delay: one-way delay between a home and its provider.
        """
        if one_carrier and bob_cgn:
            raise ValueError("one_carrier puts Bob behind alice_cgn: leave bob_cgn empty")
        carriers = {"alice-cgn": alice_cgn, "bob-cgn": bob_cgn}
        behind = {
            "alice": "alice-cgn",
            "bob": "alice-cgn" if one_carrier else "bob-cgn" if bob_cgn else "internet",
        }

        for caller, nat in (("alice", alice_nat), ("bob", bob_nat)):
            home, provider = f"{caller}-nat", behind[caller]
            self.addHost(caller, role="endpoint")
            self.addHost(home, role="nat", nat=nat, uplink=provider)
        self.addHost("internet", role="router")
        for caller in ("alice", "bob"):
            self.addLink(caller, f"{caller}-nat", label=f"{caller}-home")
        for carrier in dict.fromkeys(behind.values()):
            if carrier != "internet":
                self.addHost(
                    carrier, role="nat", nat=carriers[carrier], uplink="internet", addresses=cgn_addresses
                )
                self.addLink(carrier, "internet", label=carrier)
        for caller, provider in behind.items():
            access = {"delay": access_delay}
            self.addLink(f"{caller}-nat", provider, label=f"{caller}-access", impair=access)
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"cgn": Cgn}
