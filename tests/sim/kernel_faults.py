"""Within a network namespace of its own: what this kernel does for a host that moves, a process that dies.

Prints a JSON object of findings; tests compare them with the simulated host's. Addresses and links are the
namespace's: nothing of the machine is touched.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

HERE, THERE, FAR = "192.168.1.10", "10.0.0.7", ("203.0.113.5", 9)


def ip(*words):
    """Run ``ip`` with these words."""
    subprocess.run(["ip", *words], check=True)


def outcome(act):
    """Return the name of the error that ``act`` raises, "" if none."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


def udp(*local):
    """Return a UDP socket, bound if an address is given."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(2)
    if local:
        made.bind(local)
    return made


def attach(name, address, gateway):
    """Plug in an interface with an address and a default route."""
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
    ip("addr", "add", f"{address}/24", "dev", name)
    for end in (name, f"{name}-far"):
        ip("link", "set", end, "up")
    ip("route", "add", "default", "via", gateway)


def moves():
    """Find out what sockets do whose address is gone."""
    attach("wifi", HERE, "192.168.1.1")
    bound, anywhere, connected = udp(HERE, 5000), udp("", 5001), udp()
    connected.connect(FAR)
    ip("link", "del", "wifi")
    found = {"detached": outcome(lambda: anywhere.sendto(b"x", FAR))}
    attach("mobile", THERE, "10.0.0.1")
    return found | {
        "bound": outcome(lambda: bound.sendto(b"x", FAR)),
        "connected": outcome(lambda: connected.send(b"x")),
        "wildcard": outcome(lambda: anywhere.sendto(b"x", FAR)),
        "bind": outcome(lambda: udp().bind((HERE, 0))),
    }


def child(program):
    """Fork a process that runs ``program`` and then waits to be killed; return its id when it is ready."""
    ready, tell = os.pipe()
    made = os.fork()
    if not made:
        program()
        os.write(tell, b"1")
        signal.pause()
    os.read(ready, 1)
    return made


def kill(process):
    """Kill a process and wait until it is gone."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def dies(unread):
    """Return how a TCP connection ends whose server is killed: an error's name, "" for a clean end."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    client.settimeout(5)

    def serve():
        accepted, _ = listener.accept()
        accepted.sendall(b"hello")
        if not unread:
            accepted.recv(100)
        held.append(accepted)

    held = []
    client.sendall(b"something")
    process = child(serve)
    listener.close()
    client.recv(5)
    kill(process)
    return outcome(lambda: client.recv(100))


def refuses():
    """Return what a connected UDP socket hears whose peer was killed."""
    server = udp("127.0.0.1", 0)
    address = server.getsockname()
    process = child(lambda: None)
    server.close()
    client = udp()
    client.connect(address)
    kill(process)
    client.send(b"anybody?")
    return outcome(lambda: client.recv(100))


def nobody_reads():
    """Return what the kernel does for sockets of a process that does nothing, as one that is stopped."""
    listener, datagrams, sender = socket.create_server(("127.0.0.1", 0)), udp("127.0.0.1", 0), udp()
    connects = outcome(lambda: socket.create_connection(listener.getsockname(), timeout=2).close())
    for _ in range(600):
        sender.sendto(bytes(172), datagrams.getsockname())
    datagrams.settimeout(0)
    kept = 0
    while not outcome(lambda: datagrams.recv(1000)):
        kept += 1
    return {"connecting": connects, "datagrams kept": kept}


if __name__ == "__main__":
    ip("link", "set", "lo", "up")
    json.dump(
        {
            **moves(),
            "datagrams to the dead": refuses(),
            "a stream of the dead": dies(unread=False),
            "an unread stream of the dead": dies(unread=True),
            **nobody_reads(),
        },
        sys.stdout,
    )
