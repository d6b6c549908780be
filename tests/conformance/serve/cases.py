"""All cases, in the order in which they run."""

from __future__ import annotations

from . import batching, handles, hooks, identity, ingress

CASES = [*identity.CASES, *batching.CASES, *handles.CASES, *hooks.CASES, *ingress.CASES]
