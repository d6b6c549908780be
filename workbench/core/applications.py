"""What can be seen of a FastAPI or Starlette application, however often it was wrapped.

Every `include_router`, and so every `@serve.ingress`, wraps the application's lifespan around the
router's once more, also where neither does anything.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

MERGED = "_merge_lifespan_context.<locals>.merged_lifespan"  # of fastapi.routing
DEFAULT = "_DefaultLifespan"  # FastAPI's and Starlette's; it refers to the whole application
PARTS = ("original_context", "nested_context")


def is_no_lifespan(lifespan: Any) -> bool:
    """Whether it is what an application has that was given no lifespan."""
    return type(lifespan).__name__ == DEFAULT


def lifespans_of(thing: Any) -> list[Any] | None:
    """The user's lifespans in one that FastAPI merged, each once; None for anything else."""
    if not isinstance(thing, FunctionType) or not thing.__qualname__.endswith(MERGED):
        return None
    found: dict[Any, Any] = {}
    pending = [thing]
    while pending:
        each = pending.pop()
        inner = getattr(each, "__wrapped__", each)
        if isinstance(each, FunctionType) and each.__qualname__.endswith(MERGED):
            cells = dict(zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True))
            pending += [cells[part].cell_contents for part in reversed(PARTS)]
        elif not is_no_lifespan(each):
            found.setdefault(_identity(each, inner), each)
    return list(found.values())


def _identity(lifespan: Any, function: Any) -> Any:
    """The same for what one cell made twice."""
    if isinstance(function, FunctionType) and not function.__closure__:
        return function.__qualname__, function.__code__
    return id(lifespan)


def state_of_app(value: Any) -> Any:
    """`app.state` of an application; None for anything else."""
    kind: Any = type(value)
    return value.state if _is_app(kind) else None


@functools.lru_cache(maxsize=512)
def _is_app(cls: type) -> bool:
    names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
    return "starlette.applications.Starlette" in names
