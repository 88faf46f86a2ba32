"""Servers that nobody here wrote, as nodes of a network: coturn and Kamailio, and whether they answer."""
