"""Programs on the nodes of a kernel network: the lab's roles, the user's own, and external endpoints."""
