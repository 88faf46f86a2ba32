"""An agent for tests: builds one LAN and answers with what Mininet's own interface says of it."""

import json
import socket
import sys

from lab.emu.kernel_network import KernelNetwork
from lab.spec.find import load_topology

channel = socket.socket(fileno=int(sys.argv[-1]))
with KernelNetwork(load_topology("one_lan", {})) as network, channel.makefile("w") as lines:
    mininet = network.mininet
    alice = mininet["alice"]
    said = {
        "nodes": sorted(mininet.keys()),
        "links": len(mininet.links),
        "address": alice.IP(),
        "mac": alice.MAC(),
        "connections": str(alice.connectionsTo(mininet["lan"])),
        "cmd": alice.cmd("cat /sys/class/net/alice-eth0/address").strip(),
        "popen": alice.popen(["ip", "-br", "-4", "addr", "show", "dev", "alice-eth0"])
        .communicate()[0]
        .decode(),
    }
    lines.write(json.dumps(said) + "\n")
