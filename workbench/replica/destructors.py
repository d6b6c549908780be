"""`__del__` of the user's object: it runs when Serve ends the replica, as in plain Serve.

An exchange of code leaves an object behind whose state goes on in another one; Python would run
its `__del__` too, and what that closes is still in use.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

NAME = "__del__"


def spare(target: Any, spared: set[int]) -> None:
    """Have Python let an object go without its `__del__`.

    Args:
        target: the user's object.
        spared: ids of such objects; they stay in it for as long as the objects live.
    """
    cls = type(target)
    if not hasattr(cls, NAME):
        return
    spared.add(id(target))
    original = getattr(cls, NAME)
    if hasattr(original, SPARES):
        return

    @functools.wraps(original)
    def destroy(self: Any) -> Any:
        if id(self) in spared:
            return spared.discard(id(self))
        return original(self)

    setattr(destroy, SPARES, True)
    setattr(cls, NAME, destroy)


async def destroy(target: Any) -> None:
    """Run an object's own `__del__`, where it has one."""
    method = getattr(type(target), NAME, None)
    if method is not None:
        outcome = getattr(method, "__wrapped__", method)(target)
        if inspect.isawaitable(outcome):
            await outcome


SPARES = "workbench_spares"
