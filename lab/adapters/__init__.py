"""Adapters: programs that make real software speak to the lab, each a file to copy for a program of your own.

They are started as processes of their own and know nothing of the lab but the lines of the contract
(docs/external-programs.md); those in Python share :mod:`lab.adapters.contract`, which needs the standard
library alone. Which there are is in :mod:`lab.spec.adapters`.
"""
