"""A topology for load: many pairs of homes on one exchange, sharing one relay and one rendezvous."""

from mininet.topo import Topo

NATS = ["full-cone", "restricted", "port-restricted", "symmetric"]


class ManyHomes(Topo):
    """``pairs`` callers ``a0`` .. and callees ``b0`` .., each behind a NAT; the kinds of NAT take turns.

    ``role`` is that of every caller and callee: ``host`` for one without a program.
    """

    def build(self, pairs: int = 10, loss: str = "1%", role: str = "endpoint") -> None:
        self.addSwitch("ix", dpid="1", subnet="198.18.0.0/15")
        self.addHost("internet", role="router")
        self.addHost("relay", role="relay")
        self.addHost("rendezvous", role="rendezvous")
        for server in ("internet", "relay", "rendezvous"):
            self.addLink(server, "ix", label=server, impair={"delay": "5ms"})
        for number in range(pairs):
            self._home(f"a{number}", NATS[number % 4], loss, role)
            self._home(f"b{number}", NATS[number // 4 % 4], loss, role)

    def _home(self, host: str, nat: str, loss: str, role: str) -> None:
        self.addHost(host, role=role)
        self.addHost(f"{host}-n", role="nat", nat=nat, uplink="ix")
        self.addLink(host, f"{host}-n", label=f"{host}-home")
        self.addLink(f"{host}-n", "ix", label=f"{host}-access", impair={"delay": "10ms", "loss": loss})


topos = {"many_homes": ManyHomes}
