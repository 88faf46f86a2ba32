"""NATs nested as deep as asked, on one side or both: each layer is one more box, translating once more.

    alice --- alice-3 --- alice-2 --- alice-1 --- internet --- bob-1 --- bob
                                                   |    |
                                               relay    rendezvous

The outermost box of each side is number 1.
"""

from mininet.topo import Topo


class DeepNat(Topo):
    """Alice and Bob behind any number of NATs each."""

    def build(
        self,
        alice_layers: int = 3,
        bob_layers: int = 1,
        nat: str = "port-restricted",
        outer_nat: str = "port-restricted",
        access_delay: str = "10ms",
    ) -> None:
        """Build it.

        Args:
            alice_layers: how many NATs Alice is behind, 0 to 9.
            bob_layers: how many NATs Bob is behind, 0 to 9.
            nat: NAT model of all boxes but the outermost.
            outer_nat: NAT model of the outermost box of each side.
            access_delay: one-way delay of the outermost link of each side.
        """
        for name, layers in (("alice_layers", alice_layers), ("bob_layers", bob_layers)):
            if not 0 <= layers <= 9:
                raise ValueError(f"{name}={layers}: from 0 to 9 layers")

        self.addHost("internet", role="router")
        for caller, layers in (("alice", alice_layers), ("bob", bob_layers)):
            outside = "internet"
            for layer in range(1, layers + 1):
                box, model = f"{caller}-{layer}", outer_nat if layer == 1 else nat
                self.addHost(box, role="nat", nat=model, uplink=outside)
                self.addLink(box, outside, impair={"delay": access_delay if layer == 1 else 0})
                outside = box
            self.addHost(caller, role="endpoint")
            self.addLink(caller, outside, label=caller)
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"deep_nat": DeepNat}
