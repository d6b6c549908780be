"""Owns threads, locks and time."""
