"""A deployment's code, alive in this process: made from its constructor, or taking over.

What takes over shares the state of what it follows: the same attributes, the same class variables
and globals where the notebook did not change them. Requests that began before keep the old object,
with its own methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakValueDictionary

from . import destructors, identity
from . import package as packages
from .apps import class_based, from_object, standalone
from .asgi import Lifespan
from .batches import counted
from .figures import Figures
from .package import Package
from .routes import walk


@dataclass(eq=False)
class Live:
    """One revision of a deployment in this process.

    Attributes:
        package: the code and what it needs.
        target: the user's object, function or application.
        cls: the user's class, or None.
        asgi: the application that answers HTTP, or None.
        lifespan: the start-up that the application went through, or None.
        classes: the user's classes by the names under which their instances travel.
    """

    package: Package
    target: Any
    cls: Any = None
    asgi: Any = None
    lifespan: Lifespan | None = None
    classes: dict[str, type] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """What a process has for the code that comes to it.

    Attributes:
        children: handles of the deployments that it calls.
        prepare: called with each application before it is used.
        known: classes by the digests that they were shipped with.
        figures: where batches are counted.
        spared: ids of the objects whose `__del__` waits for the end of the replica.
        begun: the object whose constructor was called first.
    """

    children: Sequence[Any]
    prepare: Callable[[Any], None]
    known: MutableMapping[str, type] = field(default_factory=WeakValueDictionary)
    figures: Figures = field(default_factory=Figures)
    spared: set[int] = field(default_factory=set)
    begun: list[Any] = field(default_factory=list)


async def made(package: Package, place: Place) -> Live:
    """Bring a package to life: run its constructor and its application's start-up.

    Args:
        package: the code.
        place: what this process has for it.

    Raises:
        Exception: whatever the user's code raises.
    """
    packages.settle(package)
    classes: dict[str, type] = {}
    loaded = packages.load(package.code, place.children, place.known, classes)
    target, app, args, kwargs = loaded
    identity.use(classes)
    target = counted(target, place.figures)
    live = Live(package, target, classes=classes)
    if inspect.isclass(target) and package.kind != packages.ASGI_APP:
        live.cls = target
        live.target = await _constructed(target, args, kwargs, place)
    set_knobs(live)
    if package.kind != packages.PLAIN:
        live.asgi = await _application(live, app)
        place.prepare(live.asgi)
        live.lifespan = Lifespan(live.asgi)
        await live.lifespan.startup()
        _build(live.asgi)
    return live


async def following(old: Live, package: Package, place: Place) -> Live:
    """Bring a package to life on the state of what runs; what runs is left as it is.

    The same code with other options or knobs is not loaded again.

    Args:
        old: what runs.
        package: the code that is to follow.
        place: what this process has for it.

    Raises:
        Exception: the code cannot be loaded, or its application cannot be built.
    """
    packages.settle(package)
    if package.code == old.package.code:
        return replace(old, package=package)
    classes: dict[str, type] = {}
    target, app, _, _ = packages.load(package.code, place.children, place.known, classes)
    new = Live(package, target, lifespan=old.lifespan, classes=classes)
    if inspect.isclass(target) and package.kind != packages.ASGI_APP:
        new.cls = target
        new.target = object.__new__(target)
        object.__setattr__(new.target, "__dict__", old.target.__dict__)  # one state, two codes
        destructors.spare(new.target, place.spared)
        _hand_class_over(old, new)
        counted(target, place.figures)  # last, so that a queue that goes on is not counted twice
    else:
        new.target = counted(target, place.figures)
    if package.kind != packages.PLAIN:
        new.asgi = await _application(new, app)
        if hasattr(old.asgi, "state") and hasattr(new.asgi, "state"):
            new.asgi.state = old.asgi.state
        place.prepare(new.asgi)
        _build(new.asgi)
    hand_variables_over(old, new)  # of the application's functions too
    return new


def hand_variables_over(old: Live, new: Live) -> None:
    """Give `new` the variables of `old`, of classes and global ones, that were not edited."""
    if new.cls is not None:
        _hand_class_over(old, new)
    before, after = old.package.digests["variables"], new.package.digests["variables"]
    theirs, ours = _globals(old), _globals(new)
    for key, digest in after.items():
        module, _, name = key.rpartition(":")
        known = theirs.get(module, {})
        if before.get(key) == digest and name in known and module in ours:
            ours[module][name] = known[name]


def set_knobs(live: Live, before: Live | None = None) -> None:
    """Set the batched methods as was asked for, and back to what they declare when no longer.

    Args:
        live: what runs from now on.
        before: what ran until now, or None.
    """
    asked, earlier = live.package.knobs, before.package.knobs if before is not None else {}
    for name, (size, wait_s) in live.package.batching.items():
        holder = live.target if live.cls is None else live.cls
        member = holder if name == "__call__" and live.cls is None else getattr(holder, name)
        if "max_batch_size" in {**asked, **earlier}:
            member.set_max_batch_size(asked.get("max_batch_size", size))
        if "batch_wait_timeout_s" in {**asked, **earlier}:
            member.set_batch_wait_timeout_s(asked.get("batch_wait_timeout_s", wait_s))


def drops_data(old: Live, new: Live) -> bool:
    """Whether data of the old revision, such as weights in a variable, is used no longer."""
    before, after = old.package.digests["variables"], new.package.digests["variables"]
    return any(after.get(name) != digest for name, digest in before.items())


def wants_rank(live: Live) -> bool:
    """Whether the user's `reconfigure` asks for the replica's rank; Serve's own rule."""
    method = getattr(live.target, "reconfigure", None)
    return callable(method) and "rank" in inspect.signature(method).parameters


def reconfigured(live: Live, rank: Any) -> Any:
    """Call the user's `reconfigure` with the package's configuration; returns what it returns.

    Args:
        live: whose it is.
        rank: of the replica, as Serve tells it.

    Raises:
        ValueError: there is no such method.
    """
    method = getattr(live.target, "reconfigure", None)
    if method is None:
        raise ValueError("user_config is set, but there is no reconfigure(user_config) method")
    more = {"rank": rank} if wants_rank(live) else {}
    return method(live.package.user_config, **more)


async def _constructed(cls: Any, args: Any, kwargs: Any, place: Place) -> Any:
    try:
        instance = cls.__new__(cls)  # without the arguments, as Serve does
    except TypeError:
        return cls(*args, **kwargs)
    place.begun.append(instance)
    destructors.spare(instance, place.spared)
    outcome = instance.__init__(*args, **kwargs)
    if inspect.isawaitable(outcome):
        await outcome
    return instance


async def _application(live: Live, app: Any) -> Any:
    kind, target = live.package.kind, live.target
    if kind == packages.OBJECT:
        return from_object(target, live.package.deployment)
    if kind == packages.ASGI_APP:
        return standalone(target)
    if app is None and hasattr(target, "__serve_build_asgi_app__"):
        app = target.__serve_build_asgi_app__()
        app = await app if inspect.isawaitable(app) else app
    elif app is None:
        app = target.app  # its own constructor made it, as that of Serve's GradioIngress does
    elif inspect.isfunction(app):  # a builder, as Serve calls it: once per replica
        app = app()
    return class_based(app, target)


def _build(app: Any) -> None:
    """Build what Starlette would build at the first request, so that its errors come now."""
    if hasattr(app, "build_middleware_stack"):
        app.middleware_stack = app.build_middleware_stack()


def _hand_class_over(old: Live, new: Live) -> None:
    before, after = old.package.digests, new.package.digests
    for base in new.cls.__mro__:
        if base in old.cls.__mro__:
            continue  # imported, or the same as before
        for name, value in list(vars(base).items()):
            here = inspect.getattr_static(old.cls, name, None)
            if before["queues"].get(name, "") == after["queues"].get(name) and _batches(here):
                setattr(base, name, here)  # nothing that it reaches differs: its queue goes on
            elif _batches(value):
                _hand_tuning_over(name, here, value, old, new)
            elif _is_data(name, value) and before["code"].get(name) == after["code"].get(name):
                setattr(base, name, here)


def _hand_tuning_over(name: str, here: Any, there: Any, old: Live, new: Live) -> None:
    before, after = old.package.batching, new.package.batching
    if not _batches(here) or before.get(name) != after.get(name):
        return
    size, wait_s = _batching(here)
    there.set_max_batch_size(size)
    there.set_batch_wait_timeout_s(wait_s)


def _batches(member: Any) -> bool:
    return hasattr(member, "set_max_batch_size")


def _batching(member: Any) -> tuple[Any, Any]:
    return (
        member._get_max_batch_size(),
        member._get_batch_wait_timeout_s(),
    )  # Serve's; no public ones


def _is_data(name: str, value: Any) -> bool:
    code = (FunctionType, classmethod, staticmethod, property, type, ModuleType)
    return not (name.startswith("__") or isinstance(value, code) or hasattr(value, "__get__"))


def _globals(live: Live) -> dict[str, dict[str, Any]]:
    """The dictionaries in which the code looks its globals up, by module."""
    found: dict[str, dict[str, Any]] = {}
    for function in _functions(live):
        names = function.__globals__
        found.setdefault(str(names.get("__name__")), names)
    return found


def _functions(live: Live) -> Iterator[FunctionType]:
    candidates: list[Any] = [live.target]
    for base in live.cls.__mro__[:-1] if live.cls is not None else ():
        candidates += vars(base).values()
    if live.asgi is not None and hasattr(live.asgi, "routes"):
        candidates += [route.endpoint for _, route in walk(live.asgi)]
    router = getattr(live.asgi, "router", None)
    candidates.append(getattr(router, "lifespan_context", None))
    for each in candidates:
        function = inspect.unwrap(getattr(each, "__func__", each)) if callable(each) else each
        if isinstance(function, property):
            function = function.fget
        if (
            isinstance(function, FunctionType)
            and "site-packages" not in function.__code__.co_filename
        ):
            yield function
