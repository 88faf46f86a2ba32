"""A phone at home behind a NAT box, and a server on the internet.

phone --- home --- internet --- server
"""

from mininet.topo import Topo


class PhoneAtHome(Topo):
    """Neither host has a program of the lab's: the tests start their own."""

    def build(self, home_nat: str = "port-restricted", access_delay: str = "10ms") -> None:
        """Build it.

        Args:
            home_nat: NAT model of the home's box.
            access_delay: one-way delay of the home's access link.
        """
        self.addHost("internet", role="router")
        self.addHost("phone", role="host")
        self.addHost("home", role="nat", nat=home_nat, uplink="internet")
        self.addHost("server", role="host")
        self.addLink("phone", "home", label="lan")
        self.addLink("home", "internet", label="access", impair={"delay": access_delay})
        self.addLink("server", "internet", label="server", impair={"delay": "5ms"})


topos = {"phone_at_home": PhoneAtHome}
