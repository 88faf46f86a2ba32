"""Two homes, each behind a NAT of its own, and the servers that help them to find each other.

    alice --- alice-nat --- internet --- bob-nat --- bob
                             |    |
                         relay    rendezvous

Every link has a label to impair or cut it by.
"""

from mininet.topo import Topo


class TwoHomes(Topo):
    """Alice and Bob at home, each behind a NAT."""

    def build(
        self,
        alice_nat: str = "port-restricted",
        bob_nat: str = "port-restricted",
        alice_delay: str = "10ms",
        bob_delay: str = "10ms",
        alice_loss: str = "0%",
        bob_loss: str = "0%",
        relay_delay: str = "5ms",
        same_subnet: bool = False,
        separate_stun: bool = False,
        permission_refresh: str = "coturn",
        permission_key: str = "ip",
        with_dns: bool = False,
        filter_scope: str = "",
        reply_reuse: str = "",
    ) -> None:
        """Build it.

        Args:
            alice_nat: NAT model of Alice's home.
            bob_nat: NAT model of Bob's home.
            alice_delay: one-way delay of Alice's access link.
            bob_delay: one-way delay of Bob's access link.
            alice_loss: loss on Alice's access link, either way.
            bob_loss: loss on Bob's access link, either way.
            relay_delay: one-way delay between the relay and the internet.
            same_subnet: both homes use 192.168.1.0/24, and both hosts have the same address in it.
            separate_stun: STUN has a host of its own, so that STUN and TURN share no address.
            permission_refresh: what extends a TURN permission: "coturn" or "rfc8656".
            permission_key: what a TURN permission admits: "ip" (RFC 8656) or, wrongly, "ip-port".
            with_dns: a DNS server at the relay's distance; callers look their servers up by name.
            filter_scope: that axis of both boxes, where it is not to be the models' own.
            reply_reuse: that axis of both boxes, where it is not to be the models' own.
        """
        home = {"subnet": "192.168.1.0/24"} if same_subnet else {}

        semantics = {"filter_scope": filter_scope, "reply_reuse": reply_reuse}
        alice_nat, bob_nat = (with_axes(nat, semantics) for nat in (alice_nat, bob_nat))

        self.addHost("alice", role="endpoint")
        self.addHost("alice-nat", role="nat", nat=alice_nat, uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")
        self.addHost(
            "relay", role="relay", permission_refresh=permission_refresh, permission_key=permission_key
        )
        self.addHost("rendezvous", role="rendezvous")

        alice_access = {"delay": alice_delay, "loss": alice_loss}
        bob_access = {"delay": bob_delay, "loss": bob_loss}
        self.addLink("alice", "alice-nat", label="alice-home", **home)
        self.addLink("alice-nat", "internet", label="alice-access", impair=alice_access)
        self.addLink("bob", "bob-nat", label="bob-home", **home)
        self.addLink("bob-nat", "internet", label="bob-access", impair=bob_access)
        self.addLink("relay", "internet", label="relay", impair={"delay": relay_delay})
        self.addLink("rendezvous", "internet", label="rendezvous", impair={"delay": "5ms"})
        if separate_stun:
            self.addHost("stun", role="stun")
            self.addLink("stun", "internet", label="stun", impair={"delay": relay_delay})
        if with_dns:
            self.addHost("dns", role="dns")
            self.addLink("dns", "internet", label="dns", impair={"delay": relay_delay})


def with_axes(nat: str, axes: dict[str, str]) -> str:
    """Return a NAT model's name with these axes set; an empty value leaves one as it is."""
    wanted = ", ".join(f"{axis}: {value}" for axis, value in axes.items() if value)
    if not wanted:
        return nat
    return f"{nat.removesuffix('}')}, {wanted}}}" if nat.endswith("}") else f"{nat}{{{wanted}}}"


topos = {"two_homes": TwoHomes}
