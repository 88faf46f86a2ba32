"""The frozen description of a run: network, links, commands, events, trials. No world, no I/O."""
