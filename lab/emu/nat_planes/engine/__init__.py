"""The engine plane: the pure NAT model itself, in userspace, between the devices of a box.

Theory of operation. The devices of the box's namespace have no addresses, so the kernel neither answers nor
forwards. A process reads frames from packet sockets (AF_PACKET), answers ARP and neighbour discovery for the
box's addresses, gives each IP packet to :class:`nat_models.Nat`, and sends on what comes out, its addresses
replaced in the bytes that came. Every axis of a model is there, because the model is what runs; ordinary
users can run it in a user namespace.

What a sender on the same machine leaves to its network device (checksums, the cutting of long TCP segments)
is left to the device again on the way out, told by the header that packet sockets have for it.
"""

from lab.emu.nat_planes.engine.process import EngineBox

__all__ = ["EngineBox"]
