"""Faults under load, with clients that count what failed, stalled or was stale: `make chaos`."""
