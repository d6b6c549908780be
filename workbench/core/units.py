"""What code is made of: functions, classes and values as units that refer to each other.

A unit's own digest covers what stands in it; what it refers to are edges to other units. So one
walk gives the digest of anything together with all that it reaches, cycles included, and says by
name which part differs. Digests are the same in every kernel and hash seed: nothing of an
object's identity, a cell's number or a line's position enters them.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .references import outer_names

# Attributes that a library derives from others, fills lazily, or gives an address to.
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
CLASS_DERIVED = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "_abc_impl"),
    *("__abstractmethods__", "__firstlineno__", "__static_attributes__", "__annotate_func__"),
    *("__annotations_cache__", "__pydantic_core_schema__", "__pydantic_validator__"),
    *("__pydantic_serializer__", "__pydantic_parent_namespace__", "__pydantic_complete__"),
    *("__pydantic_generic_metadata__", "__pydantic_setattr_handlers__", "__signature__"),
}
INSTALLED = "site-packages"
CONTAINERS = (list, dict, set, bytearray)
LOCKS = (type(threading.Lock()), type(threading.RLock()))
BUILTINS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodWrapperType)


@dataclass(eq=False)
class Unit:
    """A function, a class or a value.

    Attributes:
        label: what it is called in the user's code, such as "`clean`".
        digest: hash of what stands in it.
        edges: units that it refers to, in the order of their mention.
        module: name of the user's own module that it was imported from, or "".
    """

    label: str
    digest: str = ""
    edges: list[Unit] = field(default_factory=list)
    module: str = ""


def reached(roots: Iterable[Unit], without: frozenset[Unit] = frozenset()) -> list[Unit]:
    """Every unit that `roots` lead to, in the order of a walk; `without` are not entered."""
    found: dict[Unit, None] = {}
    pending = list(roots)[::-1]
    while pending:
        unit = pending.pop()
        if unit not in found and unit not in without:
            found[unit] = None
            pending += unit.edges[::-1]
    return list(found)


def closure_digest(roots: Iterable[Unit], without: frozenset[Unit] = frozenset()) -> str:
    """Hash of units with all that they reach, and of how these refer to each other."""
    units = reached(roots, without)
    numbers = {unit: str(number) for number, unit in enumerate(units)}
    lines = (f"{u.digest} {' '.join(numbers.get(e, '-') for e in u.edges)}" for u in units)
    return _hash("\n".join(lines).encode())


class Units:
    """Makes units of objects; each object gives one unit.

    Args:
        special: a token for an object that stands for something else, such as a deployment that
            is called, or "".
        own_module: hash of the source of a module that is the user's own, or "" for an installed
            one.
        globals_of: the globals that a function will find where it runs.

    Attributes:
        variables: the global variables that hold neither functions, classes nor modules, by
            `<module>:<name>`.
        kept: why functions cannot be exchanged: what they keep for themselves.
        opaque: objects that cannot be looked into.
    """

    def __init__(
        self,
        special: Callable[[Any], str] = lambda _: "",
        own_module: Callable[[str], str] = lambda _: "",
        globals_of: Callable[[Any], dict[str, Any]] = lambda function: function.__globals__,
    ) -> None:
        self.special, self.own_module, self.globals_of = special, own_module, globals_of
        self._units: dict[int, Unit] = {}
        self._alive: list[Any] = []  # an id may not be used again while its unit is remembered
        self.variables: dict[str, Unit] = {}
        self.kept: list[str] = []
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
        if not _small(value):
            return self.of(value, f"`{name}`")
        unit = Unit(f"`{name}`")
        writer = _Writer(self, unit)
        writer.write(value)
        unit.digest = writer.digest()
        return unit

    def by_value(self, thing: Any) -> bool:
        """Whether a class or function is shipped itself, not by its name in a module."""
        return not _importable(thing)


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
        elif isinstance(thing, types.FunctionType):
            self._function(thing)
        else:
            self.write(thing)

    def token(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(data))
            self._hash.update(data)

    def write(self, thing: Any) -> None:
        """Write anything; functions and classes become edges."""
        kind = type(thing)
        if thing is None or kind in (bool, int, float, complex, str, bytes, range):
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

    def _value(self, thing: Any) -> None:
        if isinstance(thing, list) and type(thing) is list:
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
            self.token("builtin", getattr(thing, "__qualname__", ""), getattr(thing, "__name__", ""))
            owner = getattr(thing, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                self.write(owner)
            else:
                self.token(getattr(thing, "__module__", ""))
        elif isinstance(thing, LOCKS):
            self.token("lock", type(thing).__name__)
        elif isinstance(thing, functools._lru_cache_wrapper):
            self.token("lru_cache", thing.cache_parameters())
            self.write(thing.__wrapped__)
        elif isinstance(thing, functools.cached_property):
            self.token("cached_property", thing.attrname)
            self.write(thing.func)
        elif isinstance(thing, types.UnionType):
            self.token("union")
            self.write(thing.__args__)
        elif isinstance(thing, types.MappingProxyType):
            self._mapping("mappingproxy", thing)
        elif isinstance(thing, weakref.ReferenceType):
            self.token("weakref")
        elif type(thing).__name__ == "_DefaultLifespan":
            self.token("no lifespan")  # Starlette's own, which refers to the whole application
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
            self._attributes(thing, DERIVED[package])
        else:
            self._reduced(thing)

    def _attributes(self, thing: Any, derived: set[str]) -> None:
        if not hasattr(thing, "__dict__") and not _slots(thing):
            self._reduced(thing)
            return
        found = {**getattr(thing, "__dict__", {}), **_slots(thing)}
        self._mapping("object", {k: v for k, v in found.items() if k not in derived})
        for kind, base in (("list", list), ("dict", dict)):
            if isinstance(thing, base):
                self.write((kind, *(thing if base is list else thing.items())))

    def _tensor(self, thing: Any) -> None:
        plain = thing.detach().cpu().contiguous()
        self.token("tensor", plain.dtype, tuple(plain.shape), thing.device, thing.requires_grad)
        import torch  # of the user's: it made the tensor

        self._hash.update(plain.view(-1).view(torch.uint8).numpy().data)

    def _reduced(self, thing: Any) -> None:
        try:
            parts = thing.__reduce_ex__(4)
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
        self.token("code", code.co_code, code.co_exceptiontable, code.co_flags, code.co_name)
        self.token(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        for each in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
            self.write(each)
        self.write(code.co_consts)

    def _function(self, function: types.FunctionType) -> None:
        if _importable(function):
            self._imported(function)
            return
        self.token("function", function.__name__)
        self.write(function.__code__)
        self.write(function.__defaults__)
        self.write(function.__kwdefaults__)
        self.write(annotations_of(function))
        self._mapping("attributes", function.__dict__)
        if INSTALLED not in function.__code__.co_filename:
            self._units.kept += keeps(function)
        for name, cell in closure_of(function).items():
            self.token(name)
            if name != "__class__":  # for super(): the class that holds the function
                self._named(name, cell_contents(cell))
        outer = self._units.globals_of(function)
        for name in outer_names(function):
            self.token(name)
            if name in outer:
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
        if _importable(cls):
            self._imported(cls)
            return
        self.token("class", cls.__qualname__)
        self.write(type(cls))
        self.write(cls.__bases__)
        for name, value in members_of(cls).items():
            self.token(name)
            self.write(value)


def _small(value: Any) -> bool:
    """Whether a value is such that equal ones may be the same object by accident."""
    return value is None or type(value) in (bool, int, float, complex, str, bytes, tuple, frozenset)


def members_of(cls: type) -> dict[str, Any]:
    """What the class statement itself defines, in order, without what is derived from it."""
    return {name: value for name, value in vars(cls).items() if name not in CLASS_DERIVED}


def closure_of(function: types.FunctionType) -> dict[str, Any]:
    """Cells of a function's closure by variable."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def keeps(function: types.FunctionType) -> list[str]:
    """What a function keeps for itself, so that a new one would begin afresh."""
    found = [
        f"`{function.__name__}` keeps `{name}` in a closure, which cannot be handed over"
        for name, cell in closure_of(function).items()
        if isinstance(cell_contents(cell), CONTAINERS)
    ]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if any(isinstance(each, CONTAINERS) for each in defaults):
        found.append(f"`{function.__name__}` has a list, dict or set as a default value")
    return found


def cell_contents(cell: Any) -> Any:
    """The value of a closure's cell, or None while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def annotations_of(function: Any) -> dict[str, Any]:
    """Annotations as they stand, not evaluated."""
    try:
        return dict(function.__annotations__)
    except Exception:  # Python 3.14 evaluates them here, which runs the user's code
        return {}


def _importable(thing: Any) -> bool:
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        return False
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = inspect.getattr_static(found, part, None)
    return found is thing


def _imported(name: str, digest: str) -> Unit:
    return Unit(f"module `{name}`", digest, module=name)


def _slots(thing: Any) -> dict[str, Any]:
    found = {}
    for name in _slot_names(type(thing)):
        try:
            found[name] = object.__getattribute__(thing, name)
        except AttributeError:
            continue
    return found


def _slot_names(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        yield from (n for n in names if n not in ("__dict__", "__weakref__"))


def short_hash(value: object) -> str:
    """Hash of a value that shows all of itself in its repr."""
    return _hash(repr(value).encode())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
