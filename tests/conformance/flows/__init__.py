"""Edits of notebooks: which rung each takes, and what the service answers after it."""
