"""A guest in a coffee shop: the shop's access point is a NAT behind the building's NAT. Bob is at home.

alice --- shop-nat --- building --- internet --- bob-nat --- bob
                                     |    |
                                 relay    rendezvous

"""

from mininet.topo import Topo


class CoffeeShop(Topo):
    """Alice on a coffee shop's Wi-Fi, behind two NATs; Bob at home."""

    def build(
        self,
        shop_nat: str = "port-restricted",
        building_nat: str = "symmetric",
        bob_nat: str = "port-restricted",
        wifi_delay: str = "5ms",
        wifi_jitter: str = "5ms",
        wifi_loss: str = "1%",
        access_delay: str = "10ms",
    ) -> None:
        """Build it.

        Args:
            shop_nat: NAT model of the shop's access point.
            building_nat: NAT model of the building's router.
            bob_nat: NAT model of Bob's home.
            wifi_delay: one-way delay of the Wi-Fi.
            wifi_jitter: how far the Wi-Fi's delay varies either way.
            wifi_loss: loss on the Wi-Fi, either way.
            access_delay: one-way delay of the building's and of Bob's access link.
        """
        wifi = {"delay": wifi_delay, "jitter": wifi_jitter, "loss": wifi_loss}
        access = {"delay": access_delay}

        self.addHost("alice", role="endpoint")
        self.addHost("shop-nat", role="nat", nat=shop_nat, uplink="building")
        self.addHost("building", role="nat", nat=building_nat, uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")

        self.addLink("alice", "shop-nat", label="wifi", impair=wifi)
        self.addLink("shop-nat", "building", label="shop", subnet="10.20.0.0/16")
        self.addLink("building", "internet", label="building-access", impair=access)
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair=access)
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server, impair={"delay": "5ms"})


topos = {"coffee_shop": CoffeeShop}
