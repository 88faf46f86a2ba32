"""What a NAT does: a pure engine and its presets. No sockets, no clock, nothing of the lab."""
