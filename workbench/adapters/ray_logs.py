"""What an actor wrote, read through Ray's own log API, on whichever node it is."""

from __future__ import annotations

from collections.abc import Iterator

import ray

TIMEOUT_S = 10


def pieces(actor_id: str, suffix: str, tail: int, follow: bool = False) -> Iterator[str]:
    """Text of a file of an actor, cut anywhere; ends early where the actor is gone.

    Args:
        actor_id: whose, in hex.
        suffix: "out" or "err".
        tail: newest lines; -1 for all.
        follow: keep on yielding what comes.
    """
    from ray.util.state import get_log  # a tenth of a second, seldom needed
    from ray.util.state.exception import RayStateApiException
    from requests.exceptions import RequestException

    address = ray.get_runtime_context().gcs_address  # else Ray refuses to choose among several
    options = {"tail": tail, "follow": follow, "timeout": TIMEOUT_S, "errors": "replace"}
    try:
        yield from get_log(address, actor_id=actor_id, suffix=suffix, **options)
    except (RayStateApiException, RequestException):
        return
