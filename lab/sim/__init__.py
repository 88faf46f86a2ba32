"""The virtual-time world: clock, hosts, links, NAT boxes, capture."""
