"""The kernel world: the same networks and roles on Linux's own network stack, in real time."""
