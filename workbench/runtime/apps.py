"""The applications that run on the cluster, and how to get hold of one again."""

from __future__ import annotations

from collections.abc import Callable

from workbench.adapters import history, ray_serve
from workbench.adapters.ray_store import CodeStore
from workbench.core.nearest import suggestion
from workbench.core.status import AppStatus
from workbench.errors import ClusterError, PlanError

from . import cluster, rollout
from .app import App, status_of
from .boundary import explained
from .rollout import Progress, RolloutFailed, Silent
from .serving import OnRay


class Apps(tuple[AppStatus, ...]):
    """The status of every application; shows itself as text."""

    def __repr__(self) -> str:
        return "\n".join(str(each) for each in self) or "no applications"


def connect(name: str, show: Callable[[], Progress] = Silent) -> App:
    """Get hold of an application that runs, after a kernel restart or from another notebook.

    Args:
        name: application name.
        show: makes the display of a rollback.

    Raises:
        PlanError: no application of that name runs.
        ClusterError: no cluster can be reached.
    """
    here = cluster.attached()
    found = ray_serve.details()
    if name not in found:
        raise PlanError(f"no application {name!r} runs on the cluster", suggestion(name, found))
    return App(name, found[name]["route_prefix"] or "/", here, history.here(), show)


@explained("delete")
def delete(name: str) -> None:
    """Remove an application; nothing else is touched.

    Raises:
        PlanError: no application of that name runs.
        ClusterError: no cluster can be reached.
    """
    cluster.attached()
    found = ray_serve.details()
    if name not in found:
        raise PlanError(f"no application {name!r} runs on the cluster", suggestion(name, found))
    try:
        rollout.remove(name, OnRay())
    except RolloutFailed as slow:
        raise ClusterError(f"{name!r} is not deleted yet: {slow}", "workbench doctor") from None
    CodeStore().forget(name)
    history.here().deleted(name)


def apps() -> Apps:
    """The status of every application on the cluster.

    Raises:
        ClusterError: no cluster can be reached.
    """
    here, past = cluster.attached(), history.here()
    return Apps(status_of(name, each, past, here) for name, each in ray_serve.details().items())
