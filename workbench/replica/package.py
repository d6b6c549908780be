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
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray import cloudpickle
from ray.util.check_serialize import inspect_serializability

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
        code: pickled (callable, args, kwargs); the deployments it calls stand in it by number.
        sources: text of each notebook cell by the file name that its code carries.
        folder: working directory of the notebook's process.
        import_paths: folders of `sys.path` that are the user's own.
    """

    app: str
    deployment: str
    revision: int
    kind: str
    code: bytes
    sources: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    import_paths: tuple[str, ...] = ()


def dump(parts: Any, child_number: Callable[[Any], int | None]) -> bytes:
    """Pickle by value what a deployment is made of.

    Args:
        parts: (callable, args, kwargs).
        child_number: number of an object that is another deployment, else None.

    Returns:
        The pickle; deployments stand in it as persistent ids.
    """

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # ray ships no types for it
        def persistent_id(self, obj: Any) -> int | None:
            return child_number(obj)

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is type(threading.Lock()):
                return threading.Lock, ()  # a lock guards one process; FastAPI's routers hold some
            return super().reducer_override(obj)

    with io.BytesIO() as file:
        Pickler(file).dump(parts)
        return file.getvalue()


def culprits(target: Any, name: str) -> tuple[str, ...]:
    """Names on the way to what keeps a target from being pickled, outermost first."""
    _, failures = inspect_serializability(target, name=name, print_file=io.StringIO())
    for failure in failures or ():
        return tuple(map(str, failure.path))[1:]
    return ()


def load(code: bytes, children: Sequence[Any]) -> Any:
    """Unpickle what `dump` made.

    Args:
        code: the pickle.
        children: what stands for each deployment that is called, in the order of their numbers.

    Returns:
        (callable, args, kwargs).

    Raises:
        RuntimeError: a package that the code needs is not installed where the replica runs.
    """

    class Unpickler(cloudpickle.pickle.Unpickler):  # type: ignore[misc]  # as above
        def persistent_load(self, pid: Any) -> Any:
            return children[pid]

    try:
        return Unpickler(io.BytesIO(code)).load()
    except ModuleNotFoundError as missing:
        raise RuntimeError(
            f"the package {missing.name!r} is not installed where the replica runs "
            f"({sys.executable}); install it there, or name it in "
            f'ray_actor_options={{"runtime_env": {{"pip": ["{missing.name}"]}}}}'
        ) from missing


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
