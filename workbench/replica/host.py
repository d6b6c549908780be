"""The class that Serve runs for every deployment: it holds the user's object and passes calls on.

Serve caches what it looks up on its object (methods, the ASGI application, the health check), so
the host hands out trampolines that look the user's object up at each call. That is what lets the
code behind them be exchanged while the replica lives.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import aclosing
from typing import Any

from . import package as packages
from .apps import class_based, from_object, standalone
from .asgi import Ingress, request_id
from .failures import Failures
from .package import Package

CALL = "workbench_call"  # name under which a handle reaches an ingress's own __call__


class Host:
    """Runs one deployment's code.

    Args:
        package: the code and what it needs.
        children: handles of the deployments that it calls, in the order of their numbers.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, package: Package, children: list[Any]
    ) -> None:
        self._package = package
        self._failures = Failures()
        packages.settle(package)
        target, args, kwargs = packages.load(package.code, children)
        self._target = await _construct(target, args, kwargs, package.kind)

    def __getattr__(self, name: str) -> Any:
        """Hand out a trampoline for each method of the user's object.

        Raises:
            AttributeError: it has no such method.
        """
        if name in ("_target", "_package", "_failures", "_asgi_app"):
            raise AttributeError(name)
        method = self._method(name)
        if not callable(method):
            raise AttributeError(f"{self._package.deployment!r} has no method {name!r}")
        return self._trampoline(name, method)

    def _method(self, name: str) -> Any:
        if not inspect.isroutine(self._target):
            return getattr(self._target, "__call__" if name == CALL else name)
        if name not in ("__call__", CALL):
            raise AttributeError(name)  # or Serve would take the function for its hooks
        return self._target

    def _trampoline(self, name: str, method: Any) -> Any:
        if inspect.isasyncgenfunction(method):

            async def call(*args: Any, **kwargs: Any) -> Any:
                async with aclosing(self._method(name)(*args, **kwargs)) as items:
                    async for item in items:
                        yield item

        elif inspect.isgeneratorfunction(method):

            def call(*args: Any, **kwargs: Any) -> Any:
                yield from self._method(name)(*args, **kwargs)

        elif inspect.iscoroutinefunction(method):

            async def call(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # as above
                try:
                    return await self._method(name)(*args, **kwargs)
                except Exception as error:
                    self._remember(args, error)
                    raise

        else:

            def call(*args: Any, **kwargs: Any) -> Any:
                try:
                    return self._method(name)(*args, **kwargs)
                except Exception as error:
                    self._remember(args, error)
                    raise

        return functools.wraps(method)(call) if inspect.isroutine(method) else call

    def _remember(self, args: tuple[Any, ...], error: Exception) -> None:
        scope = getattr(args[0], "scope", None) if args else None
        if isinstance(scope, dict):
            self._failures.record(request_id(scope), error)

    async def workbench_speaks_asgi(self) -> bool:
        """Whether Serve's `__call__` of this replica is the ASGI entry; for the notebook."""
        return hasattr(self, "_asgi_app")

    async def workbench_failure(self, request_id: str) -> str:
        """The traceback of the request with that id, or ""; for the notebook."""
        return self._failures.text(request_id)


class CallableHost(Host):
    """A host whose `__call__` is the user's own: Serve's semantics over HTTP and by handle."""

    @property
    def __call__(self) -> Any:
        """The user's `__call__`; Serve looks it up on the object."""
        return self.__getattr__("__call__")


class IngressHost(Host):
    """A host that shows an ASGI application. Wrap it with `serve.ingress()`."""

    async def __serve_build_asgi_app__(self) -> Ingress:
        """Serve calls this once, after the constructor."""
        self._ingress = Ingress(self._failures)
        await self._ingress.show(await self._inner_app())
        return self._ingress

    async def _inner_app(self) -> Any:
        kind, target = self._package.kind, self._target
        if kind == packages.OBJECT:
            return from_object(target, self._package.deployment)
        if kind == packages.ASGI_APP:
            return standalone(target)
        if hasattr(target, "_asgi_app"):
            return class_based(target.app, target)
        built = target.__serve_build_asgi_app__()
        return class_based(await built if inspect.isawaitable(built) else built, target)


async def _construct(target: Any, args: Any, kwargs: Any, kind: str) -> Any:
    if not inspect.isclass(target) or kind == packages.ASGI_APP:
        return target
    instance = target.__new__(target)
    outcome = target.__init__(instance, *args, **kwargs)
    if inspect.isawaitable(outcome):
        await outcome
    return instance
