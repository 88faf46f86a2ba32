"""Callers with two interfaces each, as a phone with Wi-Fi and mobile data has: more candidates, more pairs.

        alice-wifi               bob-wifi
alice <            > internet <            > bob
        alice-cell     |   |     bob-cell
                   relay   rendezvous

"""

from mininet.topo import Topo


class Multihomed(Topo):
    """Alice and Bob, each with Wi-Fi behind a home NAT and mobile data behind a carrier's."""

    def build(
        self,
        wifi_nat: str = "port-restricted",
        cell_nat: str = "symmetric",
        wifi_delay: str = "10ms",
        cell_delay: str = "40ms",
    ) -> None:
        """Build it.

        Args:
            wifi_nat: NAT model of both homes.
            cell_nat: NAT model of both mobile carriers.
            wifi_delay: one-way delay of the homes' access links.
            cell_delay: one-way delay of the mobile access links.
        """
        accesses = {"wifi": (wifi_nat, wifi_delay), "cell": (cell_nat, cell_delay)}

        self.addHost("internet", role="router")
        for caller in ("alice", "bob"):
            self.addHost(caller, role="endpoint", uplink=f"{caller}-wifi")
            for kind, (nat, delay) in accesses.items():
                box = f"{caller}-{kind}"
                self.addHost(box, role="nat", nat=nat, uplink="internet")
                self.addLink(caller, box, label=box)
                self.addLink(box, "internet", label=f"{box}-access", impair={"delay": delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"multihomed": Multihomed}
