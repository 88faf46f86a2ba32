"""Views of a stored run: tables and plots. Pure functions."""
