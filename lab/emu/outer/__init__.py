"""The outer namespace: one private machine a run, whose end takes everything in it along.

Theory of operation. ``unshare`` makes a user namespace (for an ordinary user), and mount, network and process
namespaces. Their first process, the *init*, makes private mounts, starts the *agent* and then does two
things: it collects processes that have ended, and it watches its standard input, a pipe that the parent
holds. The pipe ends when the parent closes it or ends, however it ends: ``kill -9`` included. Then the init
exits, and the kernel kills every process of the namespace; network namespaces, bridges, rules and mounts go
with the last process that is in them. Nothing has to be cleaned up, so nothing can be forgotten.

=============  ============================  ==========================================
what ends      who notices                   what follows
=============  ============================  ==========================================
the parent     the init, by its pipe         init exits, the kernel kills the rest
``unshare``    the kernel (--kill-child)     init is killed, the kernel kills the rest
the init       the kernel                    the rest is killed; the parent reads EOF
the agent      the init, as its parent       init exits with the agent's status
=============  ============================  ==========================================

The network namespace has no way out: it begins with a loopback interface alone, and nothing is ever moved
into it. The machine's own interfaces, addresses, routes and rules can be neither seen nor touched from it.
"""

from lab.emu.outer.namespace import OuterNamespace, Privilege

__all__ = ["OuterNamespace", "Privilege"]
