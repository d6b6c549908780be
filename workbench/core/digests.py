"""Writes units: hashes what stands in an object and notes what it refers to."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import threading
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from .applications import is_no_lifespan, lifespans_of, state_of_app
from .bytecode import shape_of
from .objects import (
    annotations_of,
    cell_contents,
    closure_of,
    is_importable,
    is_installed,
    is_small,
    keeps,
    members_of,
    slots_of,
)
from .references import only_attribute, outer_names, stored_names
from .units import Unit

# Attributes that a library derives from others, fills lazily, or gives an address to. A route
# makes its `app` from its endpoint; mounts, hosts and frontends hold an application by that name.
DERIVED = {
    "fastapi": {"middleware_stack", "openapi_schema", "dependant", "app", "path_regex"}
    | {"body_field", "response_field", "secure_cloned_response_field", "_flat_dependant"}
    | {"param_convertors", "path_format", "stream_item_field", "state", "_openapi_routes_version"}
    | {"_effective_candidates", "_effective_candidates_version", "_effective_routes_lock"}
    | {"_effective_low_priority_routes", "_effective_low_priority_routes_version"}
    | {"_routes_version", "_low_priority_routes"},
    "starlette": {"app", "path_regex", "param_convertors", "middleware_stack"},
    "pydantic": {"cls_ref", "_complete", "_original_annotation", "evaluated"},
}
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, range))
KINDS = 0x3FF  # arguments, nesting, generators and coroutines; see inspect.CO_*
LOCKS = (type(threading.Lock()), type(threading.RLock()))
BUILTINS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodWrapperType)


class Units:
    """Makes units of objects; each object gives one unit.

    Args:
        special: a token for an object that stands for something else, such as a deployment that
            is called, or "".
        own_module: hash of the source of a module that is the user's own, or "" for an installed
            one.
        globals_of: the globals that a function will find where it runs.
        instead: what to write for an object that is made anew around the same content, such as a
            function around which a library puts an object with an id of its own.
        reducers: how objects of some types are taken apart, as in `copyreg.dispatch_table`.

    Attributes:
        variables: the global variables that hold neither functions, classes nor modules, by
            `<module>:<name>`.
        keepers: functions that keep something for themselves; see `keepers`.
        stored: names of the global variables that code assigns to while it runs.
        opaque: objects that cannot be looked into.
    """

    def __init__(
        self,
        special: Callable[[Any], str] = lambda _: "",
        own_module: Callable[[str], str] = lambda _: "",
        globals_of: Callable[[Any], dict[str, Any]] = lambda function: function.__globals__,
        instead: Callable[[Any], Any] = lambda thing: thing,
        reducers: Mapping[type, Callable[[Any], Any]] = copyreg.dispatch_table,
    ) -> None:
        self.special, self.own_module, self.globals_of = special, own_module, globals_of
        self.instead, self.reducers = instead, reducers
        self._units: dict[int, Unit] = {}
        self._alive: list[Any] = []  # an id may not be used again while its unit is remembered
        self.variables: dict[str, Unit] = {}
        self.keepers: list[Any] = []
        self.stored: set[str] = set()
        self.opaque: list[str] = []

    def of(self, thing: Any, label: str = "") -> Unit:
        """The unit of an object."""
        known = self._units.get(id(thing))
        if known is not None:
            return known
        unit = Unit(label or f"`{getattr(thing, '__name__', type(thing).__name__)}`")
        self._units[id(thing)] = unit
        self._alive.append(thing)
        writer = _Writer(self, unit)
        writer.begin(thing)
        unit.digest = writer.digest()
        return unit

    def variable(self, name: str, value: Any) -> Unit:
        """The unit of a value under a name; equal small values may be one object by accident."""
        if not is_small(value):
            return self.of(value, f"`{name}`")
        unit = Unit(f"`{name}`")
        writer = _Writer(self, unit)
        writer.write(value)
        unit.digest = writer.digest()
        return unit

    def classes(self) -> list[type]:
        """The classes that were looked into and are shipped themselves."""
        return [c for c in self._alive if issubclass(type(c), type) and self.by_value(c)]

    def by_value(self, thing: Any) -> bool:
        """Whether a class or function is shipped itself, not by its name in a module."""
        return not is_importable(thing)


class _Writer:
    """Writes one unit: hashes what stands in an object and notes what it refers to."""

    def __init__(self, units: Units, unit: Unit) -> None:
        self._units, self._unit = units, unit
        self._hash = hashlib.blake2b(digest_size=16)
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []

    def digest(self) -> str:
        return self._hash.hexdigest()

    def begin(self, thing: Any) -> None:
        """Write the object that the unit is of."""
        if isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, types.FunctionType) and lifespans_of(thing) is None:
            self._function(thing)
        else:
            self.write(thing)

    def token(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:%b" % (len(data), data))

    def write(self, thing: Any) -> None:
        """Write anything; functions and classes become edges."""
        kind = type(thing)
        if kind in PLAIN:
            self.token(kind.__name__, thing if kind is bytes else repr(thing))
        elif kind is tuple:
            self.token("tuple", len(thing))
            for each in thing:
                self.write(each)
        elif kind is frozenset:
            self._unordered("frozenset", thing)
        elif isinstance(thing, types.CodeType):
            self._code(thing)
        elif token := self._units.special(thing):
            self.token("special", token)
        elif kind is types.FunctionType and (lifespans := lifespans_of(thing)) is not None:
            self._lifespans(lifespans)
        elif isinstance(thing, types.FunctionType | type):
            self._edge(thing)
        elif id(thing) in self._numbers:
            self.token("again", self._numbers[id(thing)])
        else:
            self._numbers[id(thing)] = len(self._numbers)
            self._alive.append(thing)
            self._value(thing)

    def _edge(self, thing: Any) -> None:
        self.token("edge")
        self._unit.edges.append(self._units.of(thing))

    def _lifespans(self, found: list[Any]) -> None:
        if len(found) == 1:
            self.write(found[0])
        else:
            self.token("lifespans", len(found)) if found else self.token("no lifespan")
            for each in found:
                self.write(each)

    def _value(self, thing: Any) -> None:
        other = self._units.instead(thing)
        if other is not thing:
            self._alive.append(other)
            self.token("instead")
            self.write(other)
        elif isinstance(thing, list) and type(thing) is list:
            self.token("list", len(thing))
            for each in thing:
                self.write(each)
        elif type(thing) is dict:
            self._mapping("dict", thing)
        elif type(thing) is set:
            self._unordered("set", thing)
        elif isinstance(thing, types.ModuleType):
            self._module(thing.__name__)
        elif isinstance(thing, staticmethod | classmethod):
            self.token(type(thing).__name__)
            self.write(thing.__func__)
        elif isinstance(thing, property):
            self.token("property", thing.__doc__)
            for each in (thing.fget, thing.fset, thing.fdel):
                self.write(each)
        elif isinstance(thing, types.MethodType):
            self.token("method")
            self.write(thing.__self__)
            self.write(thing.__func__)
        else:
            self._rare(thing)

    def _rare(self, thing: Any) -> None:
        if isinstance(thing, BUILTINS + DESCRIPTORS):
            self.token(
                "builtin", getattr(thing, "__qualname__", ""), getattr(thing, "__name__", "")
            )
            owner = getattr(thing, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                self.write(owner)
            else:
                self.token(getattr(thing, "__module__", ""))
        elif isinstance(thing, LOCKS):
            self.token("lock", type(thing).__name__)
        elif isinstance(thing, functools._lru_cache_wrapper):
            self._units.keepers.append(thing)
            self.token("lru_cache", thing.cache_parameters())
            self.write(thing.__wrapped__)
        elif isinstance(thing, functools.cached_property):
            self.token("cached_property", thing.attrname)
            self.write(thing.func)
        elif isinstance(thing, typing.TypeVar):
            self.token("type variable", thing.__name__)
            self.token(thing.__covariant__, thing.__contravariant__)
            self.write((thing.__bound__, thing.__constraints__))
        elif isinstance(thing, types.UnionType):
            self.token("union")
            self.write(thing.__args__)
        elif isinstance(thing, types.MappingProxyType):
            self._mapping("mappingproxy", thing)
        elif isinstance(thing, weakref.ReferenceType):
            self.token("weakref")
        elif is_no_lifespan(thing):
            self.token("no lifespan")
        else:
            self._object(thing)

    def _module(self, name: str) -> None:
        self.token("module", name)
        if digest := self._units.own_module(name):
            self._unit.edges.append(_imported(name, digest))

    def _mapping(self, kind: str, items: Any) -> None:
        self.token(kind, len(items))
        for key, value in items.items():
            self.write(key)
            self.write(value)

    def _unordered(self, kind: str, items: Any) -> None:
        parts = []
        for each in items:
            part = _Writer(self._units, Unit("part"))
            part.write(each)
            parts.append((part.digest(), part._unit.edges))
        self.token(kind, len(parts))
        for digest, edges in sorted(parts, key=lambda p: p[0]):
            self.token(digest)
            self._unit.edges += edges

    def _object(self, thing: Any) -> None:
        cls = type(thing)
        self.write(cls)
        package = cls.__module__.partition(".")[0]
        if package == "torch" and hasattr(thing, "untyped_storage"):
            self._tensor(thing)
        elif package in DERIVED:
            derived = DERIVED[package]
            self._attributes(thing, derived if hasattr(thing, "endpoint") else derived - {"app"})
        else:
            self._reduced(thing)

    def _attributes(self, thing: Any, derived: set[str]) -> None:
        if not hasattr(thing, "__dict__") and not slots_of(thing):
            self._reduced(thing)
            return
        found = {**getattr(thing, "__dict__", {}), **slots_of(thing)}
        self._mapping("object", {k: v for k, v in found.items() if k not in derived})
        if isinstance(thing, list | set):
            self.write(tuple(thing))
        elif isinstance(thing, dict):
            self.write(tuple(thing.items()))

    def _tensor(self, thing: Any) -> None:
        plain = thing.detach().cpu().contiguous()
        self.token("tensor", plain.dtype, tuple(plain.shape), thing.device, thing.requires_grad)
        import torch  # of the user's: it made the tensor

        self._hash.update(plain.view(-1).view(torch.uint8).numpy().data)

    def _reduced(self, thing: Any) -> None:
        reducer = self._units.reducers.get(type(thing))
        try:
            parts = thing.__reduce_ex__(4) if reducer is None else reducer(thing)
        except Exception as error:  # runs the user's code: anything may come
            self._opaque(thing, error)
            return
        if isinstance(parts, str):
            self.token("global", type(thing).__module__, parts)
            return
        self._alive.append(parts)  # its parts are fresh objects, whose ids count
        make, args, state, items, pairs = (*parts, *(None,) * 5)[:5]
        self.write(make)
        self.write(args)
        self.write(state)
        for each in items or ():
            self._alive.append(each)
            self.write(each)
        for pair in pairs or ():
            self._alive.append(pair)
            self.write(tuple(pair))

    def _opaque(self, thing: Any, error: Exception) -> None:
        name = f"a {type(thing).__module__}.{type(thing).__qualname__}"
        self._units.opaque.append(f"{name}: {error}")
        self.token("opaque", id(thing))

    def _code(self, code: types.CodeType) -> None:
        flags = code.co_flags & KINDS  # the others tell how it was compiled, not what it does
        self.token("code", shape_of(code), flags, code.co_name)
        self.token(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        for each in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
            self.write(each)
        self.write(code.co_consts)

    def _function(self, function: types.FunctionType) -> None:
        if is_importable(function):
            self._imported(function)
            return
        installed = is_installed(function.__code__)
        self.token("function", function.__name__)
        if installed:  # a closure of a library: its code stays, what it holds counts
            self.token(function.__module__, function.__qualname__, function.__code__.co_firstlineno)
        else:
            self.write(function.__code__)
        self.write(function.__defaults__)
        self.write(function.__kwdefaults__)
        self.write(annotations_of(function))
        self._mapping("attributes", function.__dict__)
        if not installed and keeps(function):
            self._units.keepers.append(function)
        for name, cell in closure_of(function).items():
            self.token(name)
            if name != "__class__":  # for super(): the class that holds the function
                self._named(name, cell_contents(cell))
        if installed:
            return
        outer = self._units.globals_of(function)
        self._units.stored |= stored_names(function.__code__)
        for name in outer_names(function):
            self.token(name)
            state = state_of_app(outer.get(name))
            if state is not None and only_attribute(function.__code__, name, "state"):
                self._named(f"{name}.state", state)
            elif name in outer:
                unit = self._named(name, outer[name])
                if unit is not None:
                    self._units.variables[f"{outer.get('__name__')}:{name}"] = unit

    def _named(self, name: str, value: Any) -> Unit | None:
        """A variable from outside; data in it is a unit of its own, so that it can be named."""
        if isinstance(value, type | types.FunctionType | types.ModuleType):
            self.write(value)
            return None
        self.token("variable")
        unit = self._units.variable(name, value)
        self._unit.edges.append(unit)
        return unit

    def _imported(self, thing: Any) -> None:
        self.token("imported", thing.__module__, thing.__qualname__)
        if digest := self._units.own_module(thing.__module__):
            self._unit.edges.append(_imported(thing.__module__, digest))

    def _class(self, cls: type) -> None:
        if is_importable(cls):
            self._imported(cls)
            return
        self.token("class", cls.__qualname__)
        self.write(type(cls))
        self.write(cls.__bases__)
        for name, value in members_of(cls).items():
            self.token(name)
            self.write(value)


def _imported(name: str, digest: str) -> Unit:
    return Unit(f"module `{name}`", digest, module=name)
