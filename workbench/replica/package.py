"""A deployment's code, packed in the notebook and unpacked in the replica.

A package holds the class, function or application with its constructor's arguments, pickled by
value, the sources of the notebook cells it came from, and where the notebook's process looked for
modules and files.
"""

from __future__ import annotations

import importlib.util
import io
import linecache
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from ray import cloudpickle

from . import pickles
from .pickles import MAKERS
from .sentinels import Sentinels

PLAIN = "plain"  # Serve's own semantics: methods by handle, __call__(request) over HTTP
ASGI_CLASS = "asgi_class"  # a class wrapped by @serve.ingress
ASGI_APP = "asgi_app"  # a FastAPI (or any ASGI) application
OBJECT = "object"  # a class, function, module or pipeline that gets routes from its signatures


@dataclass(frozen=True)
class Package:
    """One deployment of one revision.

    Attributes:
        app: application name.
        deployment: deployment name.
        revision: number of the revision.
        kind: PLAIN, ASGI_CLASS, ASGI_APP or OBJECT.
        code: pickled (callable, ASGI application or None, args, kwargs); the deployments that it
            calls stand in it by number.
        version: name of the processes that it belongs to; Serve starts new ones for a new name.
        digests: what it is made of: digests by name in parts such as "code" and "variables".
        user_config: what `reconfigure` is called with, or None.
        batching: size and wait in seconds of each batched method, as declared.
        knobs: what was set beyond that: batch size, batch wait, share of the GPU's memory.
        gpus: GPUs that the replica books.
        sources: text of each notebook cell by the file name that its code carries.
        folder: working directory of the notebook's process.
        import_paths: folders of `sys.path` that are the user's own.
        key_digest: digest of the key that requests must carry, or "".
    """

    app: str
    deployment: str
    revision: int
    kind: str
    code: bytes
    version: str = ""
    digests: dict[str, Any] = field(default_factory=dict)
    user_config: Any = None
    batching: dict[str, tuple[int, float]] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    gpus: float = 0.0
    sources: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    import_paths: tuple[str, ...] = ()
    key_digest: str = ""


def dump(
    parts: Any,
    child_number: Callable[[Any], int | None] | None,
    globals_of: Callable[[Any], dict[str, Any]] = lambda function: function.__globals__,
    class_id: Callable[[type], tuple[str, str] | None] = lambda cls: None,
    kept: Callable[[Any], str] = lambda function: "",
) -> bytes:
    """Pickle by value what a deployment is made of.

    Args:
        parts: (callable, ASGI application or None, args, kwargs).
        child_number: number of an object that is another deployment, else None; None itself where
            there is no other, as it is asked for every object.
        globals_of: the globals that a function shall find where it runs.
        class_id: for a class that is pickled by value, the name under which its instances travel,
            and a digest: a replica which has a class of that digest goes on using it. None leaves
            the class to cloudpickle.
        kept: name for a function that keeps something for itself, likewise; "" for others.

    Returns:
        The pickle; deployments stand in it as persistent ids.
    """
    # The application of a class was pickled and unpickled by `@serve.ingress`.
    sentinels = Sentinels(copied=len(parts) > 2 and parts[1] is not None)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # ray ships no types for it
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, FunctionType) and obj in MAKERS.values():
                return obj.__name__
            named = sentinels.find(obj)
            if named is not None:
                return getattr, named
            special = pickles.reduced(self, obj, kept, shipped)
            if special is not None:
                return special
            function = isinstance(obj, FunctionType)
            reduced = super().reducer_override(shipped(obj) if function else obj)
            if isinstance(obj, type) and isinstance(reduced, tuple):
                return _identified(reduced, obj.__qualname__, class_id(obj))
            return reduced

    def shipped(function: FunctionType) -> FunctionType:
        if globals_of(function) is function.__globals__:
            return function
        twins.append(with_globals(function, globals_of(function)))
        return twins[-1]

    if child_number is not None:
        Pickler.persistent_id = staticmethod(child_number)
    twins: list[FunctionType] = []  # alive while pickling, since ids are remembered
    with io.BytesIO() as file:
        Pickler(file).dump(parts)
        return file.getvalue()


# Where cloudpickle's makers of classes take the name of the class, by the maker's name.
ID_AT = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}


def _identified(
    reduced: tuple[Any, ...], qualname: str, known_by: tuple[str, str] | None
) -> tuple[Any, ...]:
    """A class that is pickled by value, with its whole name and, unless None, what it is known by.

    cloudpickle forgets in which function or class another one was defined.
    """
    make, args, *rest = reduced
    at = ID_AT.get(make.__name__)
    if at is None:
        return reduced
    state, slots = rest[0]
    rest[0] = {**state, "__qualname__": qualname}, slots
    return (make, (*args[:at], known_by, *args[at + 1 :]) if known_by else args, *rest)


def with_globals(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """The same function, looking its globals up in another dictionary."""
    made = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    for name in ("__module__", "__qualname__", "__doc__", "__annotations__"):
        setattr(made, name, getattr(function, name))
    return made


def load(
    code: bytes,
    children: Sequence[Any],
    known: MutableMapping[str, Any],
    named: MutableMapping[str, type] | None = None,
) -> Any:
    """Unpickle what `dump` made.

    Args:
        code: the pickle.
        children: what stands for each deployment that is called, in the order of their numbers.
        known: classes that this process has, by the digests that `dump` gave them; new ones are
            added. One that is known is used as it is: its variables may have changed meanwhile.
        named: takes each class under the name by which its instances travel; see `identity.use`.

    Returns:
        (callable, ASGI application or None, args, kwargs).

    Raises:
        RuntimeError: a package that the code needs is not installed where the replica runs.
    """
    settled: set[type] = set()
    ours = pickles.makers(known)

    class Unpickler(cloudpickle.pickle.Unpickler):  # type: ignore[misc]  # as above
        def persistent_load(self, pid: Any) -> Any:
            return children[pid]

        def find_class(self, module: str, name: str) -> Any:
            if module == pickles.__name__:
                return ours[name]
            found = super().find_class(module, name)
            if not module.endswith("cloudpickle"):
                return found
            if name == "_class_setstate":
                return lambda cls, state: cls if cls in settled else found(cls, state)
            return make(found, ID_AT[name]) if name in ID_AT else found

    def make(maker: Callable[..., Any], at: int) -> Callable[..., Any]:
        def made(*args: Any) -> Any:
            if not isinstance(args[at], tuple):
                return maker(*args)
            name, digest = args[at]
            if digest in before:
                settled.add(cls := before[digest])
            else:
                cls = known[digest] = maker(*args[:at], None, *args[at + 1 :])
            if named is not None:
                named[name] = cls
            return cls

        return made

    before = dict(known)  # held meanwhile, whoever else lets go of them
    try:
        return Unpickler(io.BytesIO(code)).load()
    except ModuleNotFoundError as missing:
        raise RuntimeError(
            f"the package {missing.name!r} is not installed where the replica runs "
            f"({sys.executable}); install it there, or name it in "
            f'ray_actor_options={{"runtime_env": {{"pip": ["{missing.name}"]}}}}'
        ) from missing


def unpickled(blob: bytes) -> Package:
    """The package whose fields were pickled; the class itself does not travel each time."""
    return Package(**cloudpickle.loads(blob))


def settle(package: Package) -> None:
    """Make this process see files, modules and source lines as the notebook's process does.

    Folders that do not exist here (another machine) are left out.
    """
    for name, text in package.sources.items():
        lines = text.splitlines(keepends=True)
        linecache.cache[name] = (len(text), None, lines, name)
    if "working_dir" in os.environ.get("RAY_RUNTIME_ENV_JSON", ""):
        return  # the user named a working directory; Ray has set it
    if package.folder and os.path.isdir(package.folder):
        os.chdir(package.folder)
    known = set(sys.path)
    sys.path.extend(p for p in package.import_paths if p not in known and os.path.isdir(p))
    importlib.invalidate_caches()
