"""Callpath: run a calling scenario on a described network and say which path the media took."""

__version__ = "0.1.0"
