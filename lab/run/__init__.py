"""Scenario to trials to worlds to events: seeds, budgets, the process pool."""
