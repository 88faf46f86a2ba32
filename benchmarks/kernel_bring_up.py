"""Agent of a namespace: builds hosts on a switch, by the lab and by Mininet alone, and times both."""

import json
import socket
import sys
import time
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mininet.net import Mininet
    from mininet.node import Node
    from mininet.nodelib import LinuxBridge
    from mininet.topo import Topo

from lab.emu.kernel_network import KernelNetwork
from lab.spec.plan import plan_network


class Star(Topo):
    """Hosts on one switch, with a router that leads nowhere."""

    def build(self, hosts: int = 10) -> None:
        """Build it."""
        self.addSwitch("lan", dpid="1")
        self.addHost("router", role="router")
        self.addLink("router", "lan")
        for number in range(hosts):
            self.addHost(f"h{number}", role="host")
            self.addLink(f"h{number}", "lan")


def timed(build, end):
    """Return how long each took (seconds)."""
    begun = time.perf_counter()
    network = build()
    built = time.perf_counter()
    end(network)
    return built - begun, time.perf_counter() - built


def plain(hosts):
    Mininet.inited = True  # its own initialisation raises limits of the machine
    network = Mininet(topo=Star(hosts=hosts), switch=LinuxBridge, host=Node, controller=None)
    network.start()
    return network


channel = socket.socket(fileno=int(sys.argv[-1]))
with channel.makefile("rw") as lines:
    for line in lines:
        hosts = json.loads(line)
        plan = plan_network(Star(hosts=hosts), "star")
        lab = timed(lambda plan=plan: KernelNetwork(plan), KernelNetwork.close)
        mininet = timed(lambda hosts=hosts: plain(hosts), Mininet.stop)
        lines.write(json.dumps({"lab": lab, "mininet": mininet}) + "\n")
        lines.flush()
