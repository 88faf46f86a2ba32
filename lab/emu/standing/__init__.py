"""A standing lab: a topology as containers that Docker Compose starts, and a run that uses it.

Theory of operation. Every node is a container, the *box*, with the right to make devices: it builds its end
of the network itself, from the topology's name and parameters in its environment, as every other box does.
All boxes are on one network of the engine's, which leads nowhere (``internal``); each link of the topology is
a VXLAN (RFC 7348) on it. So addresses are the plan's, also where two homes have the same ones or public ones;
and bridges of the engine, which drop what is not of their own prefix where the kernel shows them to the
machine's firewall, see nothing but the boxes' own addresses.

A NAT box runs the engine that virtual time has; delay and loss are the wires of the kernel world. What runs
on a host is a second container in the network namespace of its box, without any right.

==============  ======================================================================================
module          what it is
==============  ======================================================================================
``cables``      which VXLAN a link is, and who is on it: pure
``box``         the program of a box
``part``        the program of a server of the lab's own; an endpoint only waits, a run starts it
``compose``     the Compose file: pure
``lab``         the handle of a run on a standing lab
==============  ======================================================================================
"""
