"""The routes of an application, and which of them an earlier run of a cell left behind.

A notebook's cells are run again on the application that is there. What they declare is then there
twice: the newest declaration counts, in the place of the first, as in a fresh run of the cells.
What was declared is told by its whole path, its kind, its verbs, and the function's module and
name. Routes that differ in any of these are different routes.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """One route under one path; a router that is included twice has each of its routes twice.

    Attributes:
        key: what was declared.
        steps: the included routers and mounts on the way to the route, and the route.
        routers: what holds each of the steps in its `routes`.
    """

    key: Key
    steps: tuple[Any, ...]
    routers: tuple[Any, ...]

    @property
    def route(self) -> Any:
        """The route."""
        return self.steps[-1]

    def __contains__(self, step: Any) -> bool:
        return any(step is each for each in self.steps)

    def beside(self, step: Any, other: Place) -> Any:
        """The step of `other` that the router holds which holds a step of this, or None."""
        router = next(r for r, each in zip(self.routers, self.steps, strict=True) if each is step)
        theirs = zip(other.routers, other.steps, strict=True)
        return next((each for holder, each in theirs if holder is router), None)


def places(app: Any) -> list[Place]:
    """Every route of an application, in the order in which they are asked for a request."""
    return list(_places(_router(app), "", (), ()))


def walk(app: Any) -> list[tuple[Any, Any]]:
    """Every route of FastAPI with the router that holds it, below routers and mounts too."""
    found = {id(p.route): (p.routers[-1], p.route) for p in places(app)}
    return [(router, route) for router, route in found.values() if hasattr(route, "dependant")]


def current(app: Any) -> list[Any]:
    """The routes with an endpoint that the newest run of every cell declared, each once."""
    found = places(app)
    newest = {place.key: place.route for place in found}
    routes = {id(p.route): p.route for p in found if newest[p.key] is p.route}
    return [route for route in routes.values() if hasattr(route, "endpoint")]


def drop_stale(app: Any, cls: type | None = None) -> None:
    """Drop what an earlier run of a cell left in an application.

    Args:
        app: the application; what was declared again takes the place of what was there first.
        cls: the class that the routes belong to; those of its earlier definitions go too, and
            the routers that are empty since then.
    """
    if not isinstance(getattr(_router(app), "routes", None), list):
        return  # an ASGI application that routes by itself, such as a function
    if cls is not None:
        _drop_of_earlier_classes(app, cls)
    found = places(app)
    newest = {place.key: place for place in found}
    follows: dict[int, Any] = {}  # by id of a step that is stale: what takes its place, or None
    for step, here in _by_step(found):
        later = [newest[place.key] for place in here]
        if all(step not in place for place in later):
            follows[id(step)] = here[0].beside(step, later[0])
    for router in [_router(app), *{id(r): r for p in found for r in p.routers}.values()]:
        _replace(router, follows)
    if cls is not None:
        _drop_empty(_router(app))
    _settle_lifespan(_router(app))
    _settle_events(_router(app))
    _settle_middlewares(app)


def forget_analyses(app: Any) -> None:
    """Have FastAPI look at included routers' routes again: they were changed in place."""
    for step in (step for place in places(app) for step in place.steps):
        if hasattr(step, "original_router"):
            step._effective_candidates_version = None


def _router(app: Any) -> Any:
    return getattr(app, "router", app)


def _places(router: Any, prefix: str, steps: tuple[Any, ...], above: tuple[Any, ...]) -> Any:
    if any(router is each for each in above):
        return  # mounted below itself
    routers = (*above, router)
    for route in list(getattr(router, "routes", None) or ()):
        if hasattr(route, "original_router"):
            path = prefix + route.include_context.prefix
            yield from _places(route.original_router, path, (*steps, route), routers)
            continue
        path = prefix + _path(route)
        below = list(_places(_mounted(route), path, (*steps, route), routers))
        yield from below or [Place(_key(route, path), (*steps, route), routers)]


def _mounted(route: Any) -> Any:
    """The router of a mounted application, or of one for a host."""
    return None if hasattr(route, "endpoint") else _router(getattr(route, "app", None))


def _path(route: Any) -> str:
    return str(getattr(route, "path", None) or f"//{getattr(route, 'host', '')}")


def _key(route: Any, path: str) -> Key:
    verbs = tuple(sorted(getattr(route, "methods", None) or ()))
    return type(route).__name__, path, verbs, *_name(getattr(route, "endpoint", None))


def _name(function: Any) -> tuple[str, str]:
    """Module and name of a function, or of the class of what is called like one."""
    function = inspect.unwrap(getattr(function, "func", function)) if callable(function) else None
    named = function if hasattr(function, "__qualname__") else type(function)
    return str(getattr(named, "__module__", "")), str(named.__qualname__)


def _by_step(found: list[Place]) -> list[tuple[Any, list[Place]]]:
    """Every route, included router and mount, with the places that it leads to."""
    steps: dict[int, tuple[Any, list[Place]]] = {}
    for place in found:
        for step in place.steps:
            steps.setdefault(id(step), (step, []))[1].append(place)
    return list(steps.values())


def _replace(router: Any, follows: dict[int, Any]) -> None:
    kept: list[Any] = []
    for route in router.routes:
        while id(route) in follows:
            route = follows[id(route)]
        if route is not None and all(route is not each for each in kept):
            kept.append(route)
    _put(router, kept)


def _put(router: Any, routes: list[Any]) -> None:
    if list(map(id, routes)) != list(map(id, router.routes)):
        router.routes[:] = routes
        getattr(router, "_mark_routes_changed", lambda: None)()  # FastAPI keeps what it has found


def _drop_empty(router: Any) -> None:
    inner = [(each, getattr(each, "original_router", None)) for each in router.routes]
    _put(router, [each for each, below in inner if below is None or below.routes])


def _drop_of_earlier_classes(app: Any, cls: type) -> None:
    for router, route in walk(app):
        owner = owner_of(route, cls)
        if owner is not None and _file(route) not in _files(owner):
            _put(router, [each for each in router.routes if each is not route])


def owner_of(route: Any, cls: type) -> type | None:
    """The class, among a class and its bases, that a route's function was defined in."""
    name = getattr(route.endpoint, "__qualname__", "")
    bases = [b for b in cls.__mro__ if b is not object and name.startswith(f"{b.__qualname__}.")]
    return bases[-1] if bases else None


def _file(route: Any) -> str:
    code = getattr(inspect.unwrap(route.endpoint), "__code__", None)
    return code.co_filename if code is not None else ""


def _files(owner: type) -> set[str]:
    members = (inspect.unwrap(v) for v in vars(owner).values() if callable(v))
    return {m.__code__.co_filename for m in members if hasattr(m, "__code__")}


# --- what runs around the requests


def _settle_lifespan(router: Any) -> None:
    """Leave the start-ups of the routers that are included, as often as they are.

    `include_router` wraps the start-up that is there and the router's own into a new one.
    """
    if not hasattr(router, "lifespan_context"):
        return
    own, *others = _merged(router.lifespan_context)
    due = [context for below in _included(router) for context in _merged(below.lifespan_context)]
    kept: list[Any] = []
    for context in others:
        at = next((n for n, each in enumerate(due) if each is context), None)
        if at is not None:
            del due[at]
            if not _is_idle(context):
                kept.append(context)
    if len(kept) != len(others):
        merge = vars(inspect.getmodule(type(router)))["_merge_lifespan_context"]
        for context in kept:
            own = merge(own, context)
        router.lifespan_context = own


def _included(router: Any) -> list[Any]:
    return [each.original_router for each in router.routes if hasattr(each, "original_router")]


def _merged(context: Any) -> list[Any]:
    """The start-ups that FastAPI has wrapped into one, outermost first."""
    function = getattr(context, "__wrapped__", None)
    if getattr(function, "__qualname__", "") != "_merge_lifespan_context.<locals>.merged_lifespan":
        return [context]
    parts = dict(inspect.getclosurevars(context.__wrapped__).nonlocals)
    return _merged(parts["original_context"]) + _merged(parts["nested_context"])


def _is_idle(context: Any) -> bool:
    """Whether it is that of a router without any handlers of its own."""
    router = getattr(context, "_router", None)
    handlers = (getattr(router, "on_startup", None), getattr(router, "on_shutdown", None))
    return type(context).__name__ == "_DefaultLifespan" and not any(handlers)


def _settle_events(router: Any) -> None:
    for name in ("on_startup", "on_shutdown"):
        handlers = getattr(router, name, None)
        if not isinstance(handlers, list):
            continue
        kept: list[Any] = []
        for handler in handlers:
            again = [n for n, each in enumerate(kept) if _same(each, handler)]
            routers = [r for r in _included(router) if handler in getattr(r, name)]
            if len(again) < max(1, len(routers)):
                kept.append(handler)
            else:
                kept[again[0]] = handler
        if kept != handlers:
            handlers[:] = kept


def _settle_middlewares(app: Any) -> None:
    """Leave one of each middleware that is there again, with the same options.

    The same class with other options is another one: a program may well have both.
    """
    middlewares = getattr(app, "user_middleware", None)
    if isinstance(middlewares, list):
        kept: list[Any] = []
        for each in reversed(middlewares):  # the newest stands first
            again = [n for n, other in enumerate(kept) if _same(_parts(other), _parts(each))]
            if again:
                kept[again[0]] = each
            else:
                kept.append(each)
        if len(kept) != len(middlewares):
            middlewares[:] = kept[::-1]


def _parts(middleware: Any) -> list[Any]:
    named = ("args", "kwargs", "options")
    return [middleware.cls, *(getattr(middleware, name, None) for name in named)]


def _same(one: Any, other: Any, depth: int = 0) -> bool:
    """Whether two values may come from the same line of a cell, run twice.

    Functions and classes of a cell are new ones each time. Those that a function made are told
    apart by what they keep of its variables.
    """
    if one is other or depth > DEEPEST:
        return one is other
    if type(one) is not type(other):
        return False
    if inspect.isfunction(one):
        alike = _name(one) == _name(other)
        if "<" not in one.__qualname__:
            return alike
        held = [each.cell_contents for f in (one, other) for each in f.__closure__ or ()]
        half = len(held) // 2
        code = one.__code__ == other.__code__
        return alike and code and _same(held[:half], held[half:], depth + 1)
    if inspect.isclass(one):
        return _name(one) == _name(other)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b, depth + 1) for a, b in pairs)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k], depth + 1) for k in one)
    if hasattr(one, "__dict__") and not any("__eq__" in vars(b) for b in type(one).__mro__[:-1]):
        return _same(vars(one), vars(other), depth + 1)
    return bool(one == other)


DEEPEST = 10
