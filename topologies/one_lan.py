"""Both callers on one LAN, behind one NAT: host candidates reach each other without leaving it.

alice --- lan --- bob
           |
          nat --- internet --- relay, rendezvous

"""

from mininet.topo import Topo


class OneLan(Topo):
    """Alice and Bob on the same LAN."""

    def build(self, nat: str = "port-restricted", lan_delay: str = "1ms", access_delay: str = "10ms") -> None:
        """Build it.

        Args:
            nat: NAT model between the LAN and the internet.
            lan_delay: one-way delay between a host and the switch.
            access_delay: one-way delay of the access link.
        """
        self.addSwitch("lan", dpid="1")
        self.addHost("nat", role="nat", nat=nat, uplink="internet")
        self.addHost("internet", role="router")
        self.addLink("nat", "lan", label="nat-lan")
        self.addLink("nat", "internet", label="access", impair={"delay": access_delay})
        for caller in ("alice", "bob"):
            self.addHost(caller, role="endpoint")
            self.addLink(caller, "lan", label=f"{caller}-lan", impair={"delay": lan_delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"one_lan": OneLan}
