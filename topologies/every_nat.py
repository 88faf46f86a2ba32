"""A home for every kind of NAT, twice: who calls (a1, a2 ...) and who is called (b1, b2 ...).

    a1 --- a1-nat ---+            +--- b1-nat --- b1
    a2 --- a2-nat ---+- internet -+--- b2-nat --- b2
    ...              |            |    ...
                   relay      rendezvous

For programs that take long to start: every pair of NATs in one trial, where a matrix of trials would start
two programs for each.
"""

from mininet.topo import Topo

CLASSIC = "none,full-cone,restricted,port-restricted,symmetric-address-restricted,symmetric,udp-blocked"


class EveryNat(Topo):
    """Two homes behind each of several NATs."""

    def build(self, nats: str = CLASSIC, delay: str = "10ms", relay_delay: str = "5ms") -> None:
        """Build it.

        Args:
            nats: NAT models, with commas between; the first is that of a1 and b1, the second of a2 and b2.
            delay: one-way delay of every access link.
            relay_delay: one-way delay between the servers and the internet.
        """
        self.addHost("internet", role="router")
        for side in ("a", "b"):
            for number, nat in enumerate(nats.split(","), start=1):
                host = f"{side}{number}"
                self.addHost(host, role="endpoint")
                self.addHost(f"{host}-nat", role="nat", nat=nat.strip(), uplink="internet")
                self.addLink(host, f"{host}-nat", label=f"{host}-home")
                self.addLink(f"{host}-nat", "internet", label=f"{host}-access", impair={"delay": delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": relay_delay})


topos = {"every_nat": EveryNat}
