"""What a deployment is made of, in parts that can be compared with another revision's.

A part is a digest by name, so that a plan can say which method or variable differs. `state` is
what the live object was made from: the constructor and all that it reaches. What is not in it can
be exchanged while the object lives.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .digests import Units
from .keepers import Keepers
from .objects import members_of
from .reach import members_used
from .references import mentioned
from .units import Unit, closure_digest, reached, short_hash

# What runs while an object is made, besides what these mention.
MAKING = (
    *("__new__", "__init__", "__post_init__", "__setattr__", "__getattr__", "__getattribute__"),
    *("__init_subclass__", "__set_name__", "__slots__", "__dataclass_params__"),
)
LIFESPAN = ("lifespan_context", "on_startup", "on_shutdown")
# Installed bases that call nothing of a subclass while it is made.
BATCHED = "set_max_batch_size"
MULTIPLEXED = "_serve_multiplexed_function"  # Serve's mark; see tests/test_ray_contract.py
QUIET_BASES = {
    *("builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"),
    "torch.nn.modules.module.Module",
}
TYPING = "typing"  # what it puts into classes looks at annotations and at no member


@dataclass(frozen=True)
class Fingerprint:
    """Digests of one deployment's parts; equal digests mean equal behaviour.

    Attributes:
        kind: what it is, with the name of its class or function.
        code: methods, class attributes, routes and functions by name.
        state: what its state depends on, by name.
        actor: options that belong to its processes, by name.
        light: options that a running deployment takes, by name.
        calls: how each method that a handle can call is called: sync, async, generator.
        variables: global variables that hold data, by `<module>:<name>`; all are in the others too.
        queues: for each method decorated by `@serve.batch`, all that it may use.
        fixed: why its code cannot be exchanged in place, or "".
        tuned: what was set by `tune()`, by knob: what the code declared then, and what was set.
    """

    kind: str
    code: Mapping[str, str]
    state: Mapping[str, str]
    actor: Mapping[str, str] = field(default_factory=dict)
    light: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    fixed: str = ""
    tuned: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def summary(self) -> dict[str, str]:
        """One digest per part, for the history."""
        parts = {"code": self.code, "state": self.state, "actor": self.actor, "light": self.light}
        return {name: short_hash(sorted(part.items())) for name, part in parts.items()}


@dataclass(frozen=True)
class Parts:
    """The objects that a deployment is made of.

    Attributes:
        kind: what it is; see `workbench.replica.package`.
        target: class, function, application or instance.
        app: the ASGI application of a class wrapped by `@serve.ingress`, or None.
        args: positional arguments of the constructor.
        kwargs: keyword arguments of the constructor.
        reconfigured: whether the constructor is followed by `reconfigure`.
    """

    kind: str
    target: Any
    app: Any = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    reconfigured: bool = False


def fingerprint(
    parts: Parts, units: Units, actor: Mapping[str, Any], light: Mapping[str, Any]
) -> Fingerprint:
    """Take the fingerprint of a deployment.

    Args:
        parts: what it is made of.
        units: makes units of objects, and knows which stand for other deployments.
        actor: options that belong to its processes.
        light: options that a running deployment takes.

    Returns:
        The fingerprint.
    """
    found = _of_class(parts, units) if inspect.isclass(parts.target) else _of_object(parts, units)
    members, state, making = found
    if parts.app is not None:
        members["routes"] = units.of(parts.app)
        state |= _app_state(parts.app, units)
    for number, value in enumerate(parts.args):
        state[f"argument {number + 1}"] = units.variable("argument", value)
    for name, value in parts.kwargs.items():
        state[f"argument `{name}`"] = units.variable(name, value)
    whole = reached([*members.values(), *state.values()])
    cls = frozenset({making} if making else ())
    code = {name: closure_digest([unit], cls) for name, unit in members.items()}
    return Fingerprint(
        kind=f"{parts.kind} {getattr(parts.target, '__name__', '')}".strip(),
        code=code,
        state={
            **{name: closure_digest([unit], cls) for name, unit in state.items()},
            **{unit.label: unit.digest for unit in whole if unit.module},
        },
        actor=of_options(actor, units),
        light=of_options(light, units),
        calls=_calls(parts),
        variables={name: closure_digest([unit], cls) for name, unit in units.variables.items()},
        queues=_queues(parts, code, units),
        fixed=_fixed(parts, units),
    )


def of_options(options: Mapping[str, Any], units: Units) -> dict[str, str]:
    """Digests of options by name."""
    return {name: closure_digest([units.variable(name, v)]) for name, v in options.items()}


Found = tuple[dict[str, Unit], dict[str, Unit], Unit | None]


def _of_class(parts: Parts, units: Units) -> Found:
    cls = parts.target
    unit = units.of(cls)
    members = {name: _defined(name, cls, units) for name in _names(cls)}
    made = _while_made(cls, parts.reconfigured, units)
    state = {f"`{n}`": members[n] for n in made if n in members}
    for base in cls.__mro__[1:]:
        state[f"base `{base.__name__}`"] = _shape(base, units)
    state["metaclass"] = units.of(type(cls))
    return members, state, unit


def _of_object(parts: Parts, units: Units) -> Found:
    target = parts.target
    if parts.kind == "asgi_app":
        return {"routes": units.of(target)}, _app_state(target, units), None
    if inspect.isroutine(target):
        return {f"`{target.__name__}`": units.of(target)}, {}, None
    return {}, {"the object": units.of(target)}, None


def _defined(name: str, cls: type, units: Units) -> Unit:
    """All definitions of a member along the user's own classes, as one unit."""
    edges = [units.variable(name, vars(b)[name]) for b in _own(cls, units) if name in vars(b)]
    if len(edges) == 1:
        return edges[0]
    return Unit(f"`{name}`", "definitions", edges)


def _own(cls: type, units: Units) -> list[type]:
    """Classes of the MRO that are shipped by value."""
    return [b for b in cls.__mro__ if units.by_value(b)]


def _names(cls: type) -> list[str]:
    return list(dict.fromkeys(n for base in cls.__mro__[:-1] for n in members_of(base)))


def _while_made(cls: type, reconfigured: bool, units: Units) -> list[str]:
    """Names of the members that run, or are looked at, while an object is made."""
    names = _names(cls)
    first = [n for n in names if n in MAKING or (n == "reconfigure" and reconfigured)]
    more = [n for n in names if _called_by_base(n, cls) or _leaves_itself(n, cls)]
    return _mentioned_from(cls, [*first, *more], units)


def _leaves_itself(name: str, cls: type) -> bool:
    """Whether a member's first use leaves its outcome or its code in the object."""
    member = inspect.getattr_static(cls, name)
    return isinstance(member, functools.cached_property) or hasattr(member, MULTIPLEXED)


def _mentioned_from(cls: type, first: list[str], units: Units) -> list[str]:
    """Members that some members of a class may come to use, these included."""
    names, found = _names(cls), list(dict.fromkeys(first))
    for name in found:  # grows while it is walked
        for function in _methods(name, cls):
            code = function.__code__
            said = mentioned(code)
            if code.co_argcount:
                own = code.co_varnames[0]
                used = members_used(function, own, cls, units.globals_of)
                said = said | used if used is not None else set(names)
            found += [n for n in names if n not in found and n in said]
    return found


def _queues(parts: Parts, code: Mapping[str, str], units: Units) -> dict[str, str]:
    """For each batched method, what it and all that it may use are made of."""
    if not inspect.isclass(parts.target):
        return {}
    cls = parts.target
    batched = [n for n in _names(cls) if hasattr(inspect.getattr_static(cls, n), BATCHED)]
    return {
        name: " ".join(code.get(each, "") for each in _mentioned_from(cls, [name], units))
        for name in batched
    }


def _called_by_base(name: str, cls: type) -> bool:
    installed = [
        base
        for base in cls.__mro__
        if f"{base.__module__}.{base.__qualname__}" not in QUIET_BASES and _is_installed(base)
    ]
    return any(name in vars(base) for base in installed) and not name.startswith("__")


def _is_installed(cls: type) -> bool:
    return cls.__module__ != "__main__" and "<locals>" not in cls.__qualname__


def _methods(name: str, cls: type) -> Iterator[types.FunctionType]:
    for base in cls.__mro__:
        found = functions_in(vars(base).get(name))
        yield from (each for each in found if each.__module__ != TYPING)


def functions_in(member: Any) -> Iterator[types.FunctionType]:
    """The functions behind a member of a class: itself, what it wraps, or a property's."""
    if isinstance(member, types.FunctionType):
        yield member
        yield from functions_in(getattr(member, "__wrapped__", None))
    elif isinstance(member, staticmethod | classmethod | types.MethodType):
        yield from functions_in(member.__func__)
    elif isinstance(member, property):
        for each in (member.fget, member.fset, member.fdel):
            yield from functions_in(each)
    elif callable(getattr(member, "__wrapped__", None)):
        yield from functions_in(member.__wrapped__)
    elif hasattr(member, "func"):
        yield from functions_in(member.func)


def _shape(base: type, units: Units) -> Unit:
    """A base class by name alone: its members are among the subclass's own."""
    if units.by_value(base):
        return Unit(base.__name__, f"class {base.__qualname__}")
    return units.of(base)


def _app_state(app: Any, units: Units) -> dict[str, Unit]:
    """What an application does before its first request, and what it was given by then."""
    router = getattr(app, "router", app)
    found = {f"`{n}`": units.of(v) for n in LIFESPAN if (v := getattr(router, n, None))}
    if hasattr(app, "state"):
        found["`app.state`"] = units.of(app.state)
    return found


def _calls(parts: Parts) -> dict[str, str]:
    """How Serve calls each public method: it remembers that for the life of a replica."""
    if parts.kind == "asgi_app":
        return {}
    if inspect.isroutine(parts.target):
        return {"__call__": _way(parts.target)}
    cls = parts.target if inspect.isclass(parts.target) else type(parts.target)
    endpoints = {getattr(r.endpoint, "__name__", "") for r in _routes(parts.app)}
    return {
        name: _way(function)
        for name in _names(cls)
        if (name == "__call__" or not name.startswith("_")) and name not in endpoints
        for function in [inspect.getattr_static(cls, name)]
        if inspect.isroutine(function)
    }


def _routes(app: Any) -> Iterator[Any]:
    for route in getattr(app, "routes", None) or ():
        if hasattr(route, "endpoint"):
            yield route


def _way(function: Any) -> str:
    plain = getattr(function, "__func__", function)
    for says, way in (
        (inspect.isasyncgenfunction, "an async generator"),
        (inspect.isgeneratorfunction, "a generator"),
        (inspect.iscoroutinefunction, "async"),
    ):
        if says(plain):
            return way
    return "sync"


def _fixed(parts: Parts, units: Units) -> str:
    if units.opaque:
        return f"{units.opaque[0]}: it cannot be compared"
    if unsound := Keepers(units).unsound():
        return unsound
    if not inspect.isclass(parts.target):
        return ""
    cls = parts.target
    for base in cls.__mro__:
        if base is not object and vars(base).get("__slots__"):
            return f"`{base.__name__}` keeps its state in __slots__"
    layout = next(b for b in cls.__mro__ if not b.__flags__ & HEAP_TYPE)
    if layout is not object:
        return f"`{cls.__name__}` is a {layout.__name__}, whose content cannot be handed over"
    return ""


HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
