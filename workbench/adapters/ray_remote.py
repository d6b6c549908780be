"""Ray's tasks and actors as they stand in a cell: what is the user's in them."""

from __future__ import annotations

from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
# RemoteFunction._function, _default_options; ActorClass.__ray_metadata__ with modified_class: each
#   run of a cell gives them a new id, so what is in them must be compared instead.
from ray.actor import ActorClass
from ray.remote_function import RemoteFunction


def content_of(thing: Any) -> Any:
    """The function or class, with its options, of what `@ray.remote` made; others as they are."""
    if isinstance(thing, RemoteFunction):
        return "ray.remote function", thing._function, thing._default_options
    if isinstance(thing, ActorClass):
        data = thing.__ray_metadata__
        return "ray.remote class", data.modified_class, data.class_name, thing._default_options
    return thing


# --- end of private names
