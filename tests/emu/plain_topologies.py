"""Small networks, plain ones and one that is impaired as asked."""

from mininet.topo import Topo

from lab.spec.plan import plan_network


class Public(Topo):
    """Two callers with public addresses; with a DNS server if asked."""

    def build(self, dns: bool = False, rendezvous: bool = True, ipv6: bool = False) -> None:
        self.addHost("internet", role="router")
        servers = ["relay", *(["rendezvous"] if rendezvous else []), *(["dns"] if dns else [])]
        for name, role in [("alice", "endpoint"), ("bob", "endpoint"), *((s, s) for s in servers)]:
            self.addHost(name, role=role)
            self.addLink(name, "internet", label=name, ipv6=ipv6)


class Homes(Topo):
    """Two callers, each behind a box of its own."""

    def build(self, alice_nat: str = "port-restricted", bob_nat: str = "port-restricted") -> None:
        self.addHost("internet", role="router")
        for name, nat in (("alice", alice_nat), ("bob", bob_nat)):
            self.addHost(name, role="endpoint")
            self.addHost(f"{name}-nat", role="nat", nat=nat, uplink="internet")
            self.addLink(name, f"{name}-nat", label=f"{name}-home")
            self.addLink(f"{name}-nat", "internet", label=f"{name}-access")
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server)


class Moving(Topo):
    """Alice may move from one network to another; both are hers, and public."""

    def build(self) -> None:
        self.addHost("internet", role="router")
        self.addHost("alice", role="endpoint", uplink="wifi")
        self.addLink("alice", "internet", label="wifi")
        self.addLink("alice", "internet", label="mobile", attached=False)
        for name, role in (("bob", "endpoint"), ("relay", "relay"), ("rendezvous", "rendezvous")):
            self.addHost(name, role=role)
            self.addLink(name, "internet", label=name)


def moving_network():
    return plan_network(Moving(), "moving")


def homes_network(alice_nat="port-restricted", bob_nat="port-restricted"):
    return plan_network(Homes(alice_nat=alice_nat, bob_nat=bob_nat), "homes")


def public_network(**options):
    return plan_network(Public(**options), "public")


class Pair(Topo):
    """Two callers on one impaired link each."""

    def build(self, alice=None, bob=None) -> None:
        self.addHost("internet", role="router")
        for name, impair in (("alice", alice or {}), ("bob", bob or {})):
            self.addHost(name, role="endpoint")
            self.addLink(name, "internet", label=name, impair=impair)
        self.addHost("rendezvous", role="rendezvous")
        self.addLink("rendezvous", "internet", label="rendezvous")


def pair(**links):
    return plan_network(Pair(**links), "pair")
