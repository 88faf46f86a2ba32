"""One file a command; heavy imports live inside the command."""
