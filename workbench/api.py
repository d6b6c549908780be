"""The public functions: the runtime with the notebook's displays around it."""

from __future__ import annotations

from typing import Any

import workbench.quick_import  # noqa: F401 - must come before anything that imports Ray
from workbench.core.plan import Plan
from workbench.runtime import apps as _apps
from workbench.runtime import cluster as _cluster
from workbench.runtime import deploy as _deploy
from workbench.runtime.app import App
from workbench.runtime.apps import Apps
from workbench.runtime.cluster import Cluster
from workbench.ui import display, magic
from workbench.ui.progress import Progress

display.register()


def start(
    num_gpus: float | None = None,
    num_cpus: float | None = None,
    http_port: int | None = None,
    address: str | None = None,
    data_path: str = "auto",
) -> Cluster:
    """Start a Ray cluster on this machine, or attach to the one that runs.

    The cluster is a daemon: it outlives the kernel, until `stop()`. There is one per user and
    machine, found from notebooks in every folder. Where it lacks what is asked for and serves
    nothing, it is restarted with that.

    Args:
        num_gpus: GPUs, at least; found by Ray when None. More than there are become logical GPUs,
            which are booked as real ones are and shown as simulated.
        num_cpus: logical CPUs, at least; 8 for each core and no fewer than 16 when None. They limit
            what replicas may book, not what they use.
        http_port: port of the ingresses on 127.0.0.1; 8000, or the next free one, when None.
        address: attach to the Ray cluster there instead.
        data_path: how requests reach the replicas: "fast" by HAProxy at their own ports (Linux),
            many times the requests per second; "python" by Serve's own proxy. "auto" is "fast"
            wherever it can run.

    Returns:
        The cluster.

    Raises:
        ClusterError: a port is taken, versions differ, nothing answers at `address`, there is no
            HAProxy, or the cluster that runs lacks what was asked for and is in use.
    """
    return _cluster.start(num_gpus, num_cpus, http_port, address, data_path)


def stop() -> None:
    """Stop the cluster and everything on it. Harmless when none runs."""
    _cluster.stop()


def deploy(
    target: Any,
    *,
    name: str | None = None,
    route_prefix: str | None = None,
    wait: bool = True,
    timeout_s: float = 300.0,
    note: str = "",
    mode: str = "auto",
    allow_downtime: bool = False,
    require_key: bool = False,
    **options: Any,
) -> App:
    """Deploy a target, or a new version of it, and return when every replica runs it.

    Args:
        target: a bound Serve application, a Serve deployment, a FastAPI app, a class, a function,
            a `torch.nn.Module` or a `transformers` pipeline.
        name: application name; the target's own name in kebab case when None.
        route_prefix: path of the ingress; `/<name>` when None.
        wait: return when every replica runs it; False returns at once.
        timeout_s: seconds to wait before the deploy is undone.
        note: what to remember about this revision.
        mode: "auto" changes only what must be; "replace" gives new processes to every deployment;
            "swap" refuses what cannot be exchanged in the live processes.
        allow_downtime: stop the old replicas first where old and new do not fit together.
        require_key: answer 401 to requests without the key of the state folder, which `app` sends
            by itself; others send what stands in its file `ingress-key` as `X-API-Key`.
        **options: of `serve.deployment`, such as `num_replicas=3`, for a target that is no Serve
            deployment yet.

    Returns:
        The application.

    Raises:
        PlanError: the target, name, route prefix or options cannot be deployed.
        CapacityError: the cluster is too small; with the arithmetic.
        DeployError: the new code did not become healthy; what served before still serves.
        ClusterError: no cluster can be started or reached.
    """
    done = _deploy.deploy(
        target,
        Progress(),
        name=name,
        route_prefix=route_prefix,
        wait=wait,
        timeout_s=timeout_s,
        note=note,
        mode=mode,
        allow_downtime=allow_downtime,
        require_key=require_key,
        **options,
    )
    return App(done.name, done.route_prefix, done.cluster, done.history, Progress)


def plan(
    target: Any,
    *,
    name: str | None = None,
    route_prefix: str | None = None,
    mode: str = "auto",
    require_key: bool = False,
    **options: Any,
) -> Plan:
    """Say what `deploy()` would do with the same arguments, and why. Changes nothing.

    Raises:
        PlanError: the target, name, route prefix or options cannot be deployed.
        CapacityError: the cluster is too small.
    """
    return _deploy.plan(
        target,
        name=name,
        route_prefix=route_prefix,
        mode=mode,
        require_key=require_key,
        **options,
    )


def load_magic(shell: Any) -> None:
    """Teach an IPython shell the `%%deploy` magic."""
    magic.register(shell, deploy)


def connect(name: str) -> App:
    """Get hold of an application that runs, after a kernel restart or from another notebook.

    Raises:
        PlanError: no application of that name runs.
        ClusterError: no cluster can be reached.
    """
    return _apps.connect(name, Progress)


def delete(name: str) -> None:
    """Remove an application from the cluster, as `serve.delete` does. Nothing else is touched.

    Raises:
        PlanError: no application of that name runs.
        ClusterError: no cluster can be reached.
    """
    _apps.delete(name)


def apps() -> Apps:
    """The status of every application on the cluster.

    Raises:
        ClusterError: no cluster can be reached.
    """
    return _apps.apps()
