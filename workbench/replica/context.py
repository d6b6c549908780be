"""Serve's own replica around the host: what it shows of the user's object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
# worker.actors, _replica_impl, _user_callable_wrapper, user_callable: what Serve puts into the
#   replica's context as `servable_object`; no public name leads there.
# _get_internal_replica_context: the context itself, whose object an exchange replaces.
# multiplex wrapper: Serve ends the models that it holds when the replica ends.
from ray._private import worker
from ray.serve.context import _get_internal_replica_context

MULTIPLEX_WRAPPER = "__serve_multiplex_wrapper"


def _callable_wrapper() -> Any:
    here = worker.global_worker
    actor = here.actors.get(here.actor_id)
    return getattr(getattr(actor, "_replica_impl", None), "_user_callable_wrapper", None)


def show(target: Callable[[], Any]) -> None:
    """Have `serve.get_replica_context().servable_object` be the user's object from now on.

    Args:
        target: gives it, or None while there is none.
    """
    wrapper = _callable_wrapper()
    if wrapper is not None:
        shown = property(lambda self: target())
        wrapper.__class__ = type("Hosted", (type(wrapper),), {"user_callable": shown})


def exchanged(target: Any) -> None:
    """Another object took the place of the one that is shown."""
    context = _get_internal_replica_context()
    if context is not None and context.servable_object is not None:
        context.servable_object = target


# --- end of private names
