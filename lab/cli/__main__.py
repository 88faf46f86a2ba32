"""``python -m lab.cli``: the same as ``callpath``."""

from lab.cli.main import main

main()
