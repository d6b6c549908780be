"""The small classes that Serve is given: each makes the real host from bytes and hands on to it.

Serve pickles its class several times per deploy; the host and all that it uses would cost tens of
milliseconds each time, these few lines do not.
"""

from __future__ import annotations

from typing import Any

from ray import cloudpickle

HOST = "_workbench_host"
SERVES = ("__call__", "__serve_multiplex_wrapper")


class Stub:
    """Stands for a host.

    Args:
        host: the pickled `Host` class.
        package: the pickled package; see `workbench.replica.package`.
        children: handles of the deployments that it calls, in the order of their numbers.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, host: bytes, package: bytes, children: list[Any]
    ) -> None:
        self._workbench_host = cloudpickle.loads(host)(children)
        await self._workbench_host.start(package)

    async def __del__(self) -> None:
        """Serve ends the replica: so does the user's object."""
        if HOST in vars(self):
            await self._workbench_host.end()

    def __dir__(self) -> list[str]:
        """Serve lists the user's methods where somebody calls one that is not there."""
        return list(self._workbench_host.names())

    def __getattr__(self, name: str) -> Any:
        """Whatever Serve looks for, the host has or lacks."""
        if name == HOST or (name.startswith("__") and name not in SERVES):
            raise AttributeError(name)
        return self._workbench_host.offered(name)

    @property
    def reconfigure(self) -> Any:
        """Serve calls it with None and the rank: the user's configuration comes with the code."""
        return self._workbench_host.configurator()

    async def workbench_failure(self, request_id: str) -> str:
        """The traceback of the request with that id, or ""; for the notebook."""
        return str(self._workbench_host.failures.text(request_id))

    async def workbench_requests(self) -> list[tuple[float, str, str, int, float]]:
        """The newest requests that this replica answered over HTTP; for the notebook."""
        return list(self._workbench_host.figures.recent())


class CallableStub(Stub):
    """A stub whose `__call__` is the user's own: Serve's semantics over HTTP and by handle."""

    @property
    def __call__(self) -> Any:
        """The user's `__call__`; Serve looks it up on the object."""
        return self._workbench_host.offered("__call__")


class IngressStub(Stub):
    """A stub that shows an ASGI application. Wrap it with `serve.ingress()`."""

    def __serve_build_asgi_app__(self) -> Any:
        """Serve calls this once, after the constructor and before its server starts."""
        return self._workbench_host.ingress()
