"""Serve and the cluster, as a deploy needs them: a port, so that each failure can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from workbench.adapters import cluster as ray_cluster
from workbench.adapters import ray_serve
from workbench.core.capacity import Room

from . import cluster


class Serving(Protocol):
    """What a deploy asks of Serve."""

    def details(self) -> Mapping[str, Any]:
        """Serve's details of every application, by name."""

    def run(self, application: Any, app: str, route_prefix: str) -> None:
        """Hand an application to Serve and return at once."""

    def delete(self, app: str) -> None:
        """Ask Serve to delete an application and return at once."""

    def room(self) -> Room:
        """Resources of the cluster now."""

    def routed(self, app: str, route_prefix: str | None, replicas: Mapping[str, bool]) -> bool:
        """Whether requests find the replicas that run, and none that does not."""

    def keep_worker(self) -> None:
        """Have a process wait for the next replica."""


class OnRay:
    """The cluster that this process is attached to."""

    def details(self) -> Mapping[str, Any]:
        """See `ray_serve.details`."""
        return ray_serve.details()

    def run(self, application: Any, app: str, route_prefix: str) -> None:
        """See `ray_serve.run`."""
        ray_serve.run(application, app, route_prefix)

    def delete(self, app: str) -> None:
        """See `ray_serve.delete`."""
        ray_serve.delete(app)

    def room(self) -> Room:
        """See `cluster.room`."""
        return ray_cluster.room()

    def routed(self, app: str, route_prefix: str | None, replicas: Mapping[str, bool]) -> bool:
        """See `cluster.routed`."""
        return ray_cluster.routed(app, route_prefix, replicas)

    def keep_worker(self) -> None:
        """See `runtime.cluster.keep_worker`."""
        cluster.keep_worker()
