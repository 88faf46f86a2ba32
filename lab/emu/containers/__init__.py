"""Containers as hosts of the kernel world: any image plays a node, and needs nothing of the lab inside.

Theory of operation. A node in a container is two containers. The *holder* has a network namespace and does
nothing; its image is made here, of one program of a hundred bytes. It is wired into the network from outside,
like any other node, by its namespace alone. Then the *program's* container is started in that namespace: from
its first instruction the program sees the addresses and routes that the plan gives it, and the namespace
stays when it dies, is killed, or is started anew.

==================  ==================================================================================
who                 does what
==================  ==================================================================================
this process        speaks to the engine; opens the holders' namespaces and hands them to the agent
the agent           wires them in, sets addresses, asks servers whether they answer; sees no container
the engine          runs both containers of a node; it is outside of the outer namespace
==================  ==================================================================================

Containers do not end with the outer namespace. They carry a label with the run and one with the process that
made them; that process removes them when the run ends. Of a process that was killed the next one removes
them.
"""
