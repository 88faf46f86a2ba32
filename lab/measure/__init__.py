"""Events to metrics and verdicts. Pure functions."""
