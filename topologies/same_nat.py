"""Two subnets behind one NAT: both callers learn the same public address, so a call may need hairpinning.

    alice --- +-----+
              | nat | --- internet --- relay, rendezvous
      bob --- +-----+

A box that isolates its subnets, as guest networks do, leaves nothing but a hairpin; one that does not routes
between them, and host candidates work.
"""

from mininet.topo import Topo


class SameNat(Topo):
    """Alice and Bob in different subnets of one NAT."""

    def build(self, nat: str = "port-restricted", isolate: bool = True, access_delay: str = "10ms") -> None:
        """Build it.

        Args:
            nat: NAT model; whether it hairpins is one of its axes.
            isolate: the box refuses to route from one of its subnets to the other.
            access_delay: one-way delay of the access link.
        """
        self.addHost("nat", role="nat", nat=nat, uplink="internet", isolate=isolate)
        self.addHost("internet", role="router")
        for caller in ("alice", "bob"):
            self.addHost(caller, role="endpoint")
            self.addLink(caller, "nat", label=f"{caller}-lan")
        self.addLink("nat", "internet", label="access", impair={"delay": access_delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"same_nat": SameNat}
