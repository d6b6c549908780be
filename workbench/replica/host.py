"""What runs in a replica for every deployment: it holds the user's object and passes calls on.

Serve caches what it looks up on its object (methods, the ASGI application, the health check), so
the host hands out trampolines that look the user's object up at each call. That is what lets the
code behind them be exchanged while the replica lives.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from contextlib import aclosing
from typing import Any

from ray import serve

# --- private names of Ray: pinned by tests/test_ray_contract.py
from ray.serve._private import constants
from starlette.requests import Request

from . import access, context, destructors, direct, gpu, identity, ids, openmp, output
from . import live as lives
from . import package as packages
from .asgi import Ingress, add_handler
from .failures import Failures
from .figures import SERVES_OWN, Figures
from .link import Link, find_store
from .live import Live, Place
from .pulse import Pulse
from .store import LEAVE

# --- end of private names

CALL = "workbench_call"  # name under which a handle reaches an ingress's own __call__


class Host:
    """Runs one deployment's code.

    Args:
        children: handles of the deployments that it calls, in the order of their numbers.

    Attributes:
        failures: tracebacks of requests that failed.
        figures: what is counted here.
    """

    def __init__(self, children: list[Any]) -> None:
        self.failures = Failures(self._explain)
        self.figures = Figures()
        self._handlers: list[tuple[Any, Any]] = []
        self._place = Place(list(map(_called, children)), self._add_handlers, figures=self.figures)
        self._loop = asyncio.get_running_loop()
        self._beside = asyncio.Runner()  # of the link's thread, which has no event loop of its own
        self._staged: tuple[bytes, Live] | None = None
        self._before: tuple[Live, bytes] | None = None
        self._blob = b""
        self._rank: Any = None
        self._live: Live

    async def start(self, blob: bytes) -> None:
        """Bring the code to life, and wait for newer code from then on.

        Args:
            blob: the pickled package as Serve knows it; the store may have a newer one.
        """
        output.install()
        access.install()
        openmp.limit_threads()
        package = packages.unpickled(blob)
        key = (package.app, package.deployment, package.version)
        store = find_store()
        if store is not None:
            self._blob = await store.newest.remote(key, package.revision)
        first = packages.unpickled(self._blob) if self._blob else package
        gpu.hold(first)
        context.show(self._target)
        try:
            self._live = await lives.made(first, self._place)
        except BaseException as error:
            gpu.explain(error, first)
            raise
        openmp.release_team()  # of the constructor; methods mostly run in other threads
        replica = serve.get_replica_context().replica_id.unique_id
        seen = await self._enter(store, key, replica) if store is not None else 0
        Link(key, replica, self._held, self._prepare, self._exchange, self._undo, seen).start()
        Pulse(self.figures, key, replica).start()

    async def _enter(self, store: Any, key: Any, replica: str) -> int:
        """Tell the store that this replica is ready, taking what has become newer meanwhile."""
        while True:
            newer, seen = await store.enter.remote(key, replica, self._held())
            if seen == LEAVE:
                raise RuntimeError("the code that this replica started with was undone meanwhile")
            if not newer:
                return int(seen)
            before = self._live
            self._live = await lives.following(before, packages.unpickled(newer), self._place)
            identity.use(self._live.classes)
            self._set_knobs(before)
            self._blob = newer

    async def end(self) -> None:
        """Serve ends the replica: run the user's `__del__`, though the constructor failed."""
        for target in [self._live.target] if hasattr(self, "_live") else self._place.begun:
            await destructors.destroy(target)

    def _held(self) -> tuple[int, dict[str, Any], bytes]:
        package = self._live.package
        return package.revision, package.digests, self._blob

    def _prepare(self, blob: bytes) -> None:
        """Load new code beside what runs. Called by the link's thread."""
        self._staged, self._before = None, None
        following = lives.following(self._live, packages.unpickled(blob), self._place)
        self._staged = blob, self._beside.run(following)

    def _exchange(self, blob: bytes) -> None:
        """Make new code the current one. Called by the link's thread."""
        if self._staged is None or self._staged[0] != blob:
            self._prepare(blob)
        assert self._staged is not None
        before, (_, new) = self._live, self._staged
        if new.package.user_config != before.package.user_config:
            self._configure(new, before)
        lives.hand_variables_over(before, new)
        self._show(new)
        self._before = before, self._blob
        self._staged, self._blob = None, blob
        self._set_knobs(before)
        if lives.drops_data(before, new):
            gc.unfreeze()  # Serve froze what the first revision holds, which may be weights

    def _show(self, live: Live) -> None:
        """Have requests that begin from now on find this."""
        identity.use(live.classes)
        self._live = live
        context.exchanged(live.target)

    def _target(self) -> Any:
        return self._live.target if hasattr(self, "_live") else None

    def _set_knobs(self, before: Live) -> None:
        lives.set_knobs(self._live, before)
        if gpu.share_of(self._live.package) != gpu.share_of(before.package):
            gpu.hold(self._live.package)

    def _configure(self, new: Live, before: Live) -> None:
        try:
            self._reconfigure_on_the_loop(new)
        except BaseException:
            if before.package.user_config is not None:
                self._reconfigure_on_the_loop(before)
            raise

    def _reconfigure_on_the_loop(self, live: Live) -> None:
        async def work() -> None:
            outcome = lives.reconfigured(live, self._rank)
            if inspect.isawaitable(outcome):
                await outcome

        asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    def _undo(self) -> None:
        """Go back to what ran before the last exchange. Called by the link's thread."""
        self._staged = None
        if self._before is not None:
            undone, (good, self._blob), self._before = self._live, self._before, None
            lives.hand_variables_over(undone, good)
            self._show(good)
            self._set_knobs(undone)
            if good.package.user_config not in (None, undone.package.user_config):
                self._reconfigure_on_the_loop(good)

    def _add_handlers(self, app: Any) -> None:
        for known, handler in self._handlers:
            add_handler(app, known, handler)

    def configurator(self) -> Any:
        """What Serve calls with its own configuration, which is None, and the replica's rank.

        It does so when the replica has started, and when its rank changed; on the event loop or
        in a thread, as the user's method is asynchronous or not.
        """
        if inspect.iscoroutinefunction(getattr(self._live.target, "reconfigure", None)):

            async def reconfigure(user_config: Any, rank: Any = None) -> None:
                if self._takes(rank):
                    await lives.reconfigured(self._live, rank)

        else:

            def reconfigure(user_config: Any, rank: Any = None) -> None:  # type: ignore[misc]  # as below
                if self._takes(rank):
                    lives.reconfigured(self._live, rank)

        return reconfigure

    def _takes(self, rank: Any) -> bool:
        """Remember the rank; whether the user's `reconfigure` is to be called, by Serve's rule."""
        self._rank = rank
        return self._live.package.user_config is not None or lives.wants_rank(self._live)

    def names(self) -> list[str]:
        """Names of what can be called on the user's object."""
        target = self._live.target
        return [name for name in dir(target) if callable(getattr(target, name, None))]

    def offered(self, name: str) -> Any:
        """A trampoline for a method of the user's object, or what Serve keeps with it.

        Raises:
            AttributeError: it has no such method.
        """
        method = self._method(name)
        if name == context.MULTIPLEX_WRAPPER:
            return method
        if not callable(method):
            raise AttributeError(f"{self._live.package.deployment!r} has no method {name!r}")
        return self._trampoline(name, method)

    def ingress(self) -> Ingress:
        """The ASGI application for Serve: it delegates to the current one."""
        direct.install()
        ids.install()
        return Ingress(self.failures, self._shown, self._handlers, self.figures)

    def _shown(self) -> Any:
        live = self._live
        return live.asgi, live.lifespan, live.package.key_digest

    def _method(self, name: str) -> Any:
        target = self._live.target
        if not inspect.isroutine(target):
            return getattr(target, "__call__" if name == CALL else name)
        if name in SERVES_OWN or (name.startswith("_") and name != "__call__"):
            raise AttributeError(name)  # or Serve would take the function for its hooks
        return target  # by whatever name it is called

    def _trampoline(self, name: str, method: Any) -> Any:
        begun = self.figures.counting(name)
        if inspect.isasyncgenfunction(method):

            async def call(*args: Any, **kwargs: Any) -> Any:
                _asked(args)
                with begun():
                    async with aclosing(self._method(name)(*args, **kwargs)) as items:
                        async for item in items:
                            yield item

        elif inspect.isgeneratorfunction(method):

            def call(*args: Any, **kwargs: Any) -> Any:
                _asked(args)
                with begun():
                    yield from self._method(name)(*args, **kwargs)

        elif inspect.iscoroutinefunction(method):

            async def call(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # as above
                asked = _asked(args)
                with begun() as request:
                    try:
                        return request.answer(await self._method(name)(*args, **kwargs))
                    except Exception as error:
                        self._remember(asked, error)
                        raise

        else:

            def call(*args: Any, **kwargs: Any) -> Any:
                asked = _asked(args)
                with begun() as request:
                    try:
                        return request.answer(self._method(name)(*args, **kwargs))
                    except Exception as error:
                        self._remember(asked, error)
                        raise

        return functools.wraps(method)(call) if inspect.isroutine(method) else call

    def _explain(self, error: BaseException) -> None:
        gpu.explain(error, self._live.package)

    def _remember(self, asked: str, error: Exception) -> None:
        self._explain(error)
        self.failures.record(asked, error)


def _asked(args: tuple[Any, ...]) -> str:
    """The id by which a notebook asks for the traceback, where a call is an HTTP request."""
    scope = args[0].scope if args and isinstance(args[0], Request) else None
    return "" if scope is None else ids.taken_from(scope, whole=False)


def _called(handle: Any) -> Any:
    """A handle that calls by gRPC where this cluster's settings say so.

    It comes with the default of the notebook that made it, which knows nothing of them.
    """
    return handle.options(_by_reference=not constants.RAY_SERVE_USE_GRPC_BY_DEFAULT)
