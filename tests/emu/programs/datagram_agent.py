"""An agent for tests: builds a network and sends single datagrams, from sockets in the nodes' namespaces.

A line asks `{"network": ..., "probes": [[from node, from address, to node, to address], ...]}`; the answer
has for each probe `[source address seen, time to live seen]`, or null if nothing arrived.
"""

import json
import socket
import struct
import sys

from lab.emu.kernel_network import KernelNetwork
from lab.emu.messages import decode_network

PORT = 9


def open_socket(node, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with node.inside():
        return socket.socket(family, socket.SOCK_DGRAM)


def receive(server):
    try:
        _, notes, _, sender = server.recvmsg(100, 100)
    except TimeoutError:
        return None
    return [sender[0], struct.unpack("=i", notes[0][2])[0]]


def probe(nodes, source, source_address, target, target_address):
    v6 = ":" in target_address
    with (
        open_socket(nodes[target], target_address) as server,
        open_socket(nodes[source], target_address) as client,
    ):
        level, option = (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT) if v6 else (socket.IPPROTO_IP, 12)
        server.setsockopt(level, option, 1)  # 12: IP_RECVTTL
        server.settimeout(2)
        server.bind((target_address, PORT))
        client.bind((source_address, 0))
        client.sendto(b"x", (target_address, PORT))
        return receive(server)


channel = socket.socket(fileno=int(sys.argv[-1]))
with channel.makefile("rw") as lines:
    for line in lines:
        request = json.loads(line)
        with KernelNetwork(decode_network(request["network"])) as network:
            lines.write(json.dumps([probe(network.nodes, *asked) for asked in request["probes"]]) + "\n")
        lines.flush()
