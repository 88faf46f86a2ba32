"""Links of a kernel network that delay, lose and reorder: the wires, and their control by the agent."""
