"""The nft plane: a NAT model as a generated netfilter rule set."""

from lab.emu.nat_planes.nft.rule_set import rule_set

__all__ = ["rule_set"]
