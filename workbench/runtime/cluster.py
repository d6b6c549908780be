"""The cluster that this kernel uses: started, attached to, or stopped."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass

from workbench.adapters import cluster as ray_cluster
from workbench.adapters import haproxy, ray_serve, ray_workers, state
from workbench.adapters.address import reachable
from workbench.adapters.ray_store import CodeStore
from workbench.core.cluster import ClusterFacts
from workbench.errors import ClusterError

from .threads import in_background


@dataclass(frozen=True, repr=False)
class Cluster:
    """A Ray cluster that this kernel is attached to.

    Attributes:
        facts: what it has and where it answers.
    """

    facts: ClusterFacts

    @property
    def http_url(self) -> str:
        """Where the ingresses answer."""
        return self.facts.http_url

    @property
    def dashboard_url(self) -> str:
        """Ray's dashboard, or ""."""
        return self.facts.dashboard_url

    @property
    def num_cpus(self) -> float:
        """Logical CPUs, all nodes together."""
        return self.facts.num_cpus

    @property
    def num_gpus(self) -> float:
        """GPUs, all nodes together; logical ones when `facts.simulated_gpus`."""
        return self.facts.num_gpus

    def __repr__(self) -> str:
        return str(self.facts)


def start(
    num_gpus: float | None = None,
    num_cpus: float | None = None,
    http_port: int = 8000,
    address: str | None = None,
    data_path: str = "auto",
) -> Cluster:
    """Start a cluster or attach to the one that runs; see `workbench.start`."""
    _check(num_gpus, num_cpus, http_port)
    path = _path(data_path)
    if address is not None:
        return _attach_to(address, http_port)
    if ray_cluster.attached() and ray_cluster.is_gone():
        ray_cluster.detach()
    if ray_cluster.attached():
        here = _here()
        _compare(here.facts, num_gpus, num_cpus, data_path)
        return here
    with state.lock("cluster"):
        known = ray_cluster.known_head()
        head = known or ray_cluster.launch(num_cpus, num_gpus, http_port, path)
        _compare_versions(head)
        ray_cluster.attach(head.address, fresh=known is None)
        CodeStore()  # comes up beside Serve
        ray_cluster.start_serve(head.http_port)
    here = _here()
    _compare(here.facts, num_gpus, num_cpus, data_path)
    return here


def current() -> Cluster:
    """The cluster that this kernel is attached to; starts or attaches when it is to none.

    Raises:
        ClusterError: the cluster that this kernel was attached to is gone.
    """
    if not ray_cluster.attached():
        return start()
    check_there()
    return _seen.get(ray_cluster.address()) or _here()


def keep_worker() -> None:
    """Have a process wait for the next replica; it starts while the user goes on."""
    head = ray_cluster.own()
    if head is not None:
        keep = functools.partial(ray_workers.keep_one, head.cluster_id)
        in_background(keep, "workbench-worker")


def check_there() -> None:
    """Refuse to go on with a cluster that is gone: Ray would wait for it.

    Raises:
        ClusterError: the cluster that this kernel was attached to is gone, or none runs.
    """
    if not ray_cluster.attached():
        attached()
    elif ray_cluster.is_gone():
        ray_cluster.detach()
        raise ClusterError(
            "the cluster that this kernel was attached to is gone, and its applications with it",
            "workbench.start() starts a new one; then run the cells that deploy again",
        )


def attached() -> Cluster:
    """The cluster that runs; never starts one.

    Raises:
        ClusterError: none runs.
    """
    if not ray_cluster.attached() and ray_cluster.known_head() is None:
        raise ClusterError(
            f"no cluster runs for the state folder {state.folder()}",
            "workbench.start(), or `workbench up` in a terminal",
        )
    return current()


def stop() -> None:
    """Stop the cluster of the state folder and everything on it. Harmless when none runs."""
    ray_cluster.detach()
    with state.lock("cluster"):
        head = ray_cluster.known_head()
        if head is not None:
            ray_cluster.clear(head)
        ray_cluster.clear_half_started()


def _here() -> Cluster:
    head = ray_cluster.known_head()
    port = ray_serve.http_port()
    dashboard, path = (head.dashboard, head.data_path) if head is not None else ("", "")
    found = Cluster(ray_cluster.facts(f"http://127.0.0.1:{port}", dashboard, path))
    _seen[found.facts.address] = found
    return found


_seen: dict[str, Cluster] = {}  # by address, so that a deploy need not ask for them again


def _attach_to(address: str, http_port: int) -> Cluster:
    address = reachable(address)  # before the cluster in use is let go
    ray_cluster.detach()
    ray_cluster.attach(address)
    ray_cluster.start_serve(http_port)
    return _here()


def _check(num_gpus: float | None, num_cpus: float | None, http_port: int) -> None:
    for name, value in (("num_gpus", num_gpus), ("num_cpus", num_cpus)):
        if value is not None and (isinstance(value, bool) or not 0 <= value <= 100_000):
            raise ClusterError(f"{name}={value!r} is no number of 0 or more", "such as 1, or None")
    if not isinstance(http_port, int) or not 0 < http_port < 65536:
        raise ClusterError(f"http_port={http_port!r} is no TCP port", "such as 8000")


def _path(data_path: str) -> str:
    """The data path that a new cluster gets; "auto" is the fast one wherever it can run."""
    if data_path not in ("auto", "fast", "python"):
        raise ClusterError(f"data_path={data_path!r} is none", 'choose "auto", "fast" or "python"')
    problem = "" if data_path == "python" else haproxy.problem(tempfile.gettempdir())
    if problem and data_path == "fast":
        raise ClusterError(f"the fast data path cannot run: {problem}", 'data_path="python"')
    return "python" if problem or data_path == "python" else "fast"


def _compare(
    facts: ClusterFacts, num_gpus: float | None, num_cpus: float | None, data_path: str
) -> None:
    if data_path != "auto" and data_path != facts.data_path:
        raise ClusterError(
            f"the cluster that runs has data_path={facts.data_path!r}, {data_path!r} was asked for",
            "leave it out to use that one, or stop it first: workbench.stop()",
        )
    asked = (("num_gpus", num_gpus, facts.num_gpus), ("num_cpus", num_cpus, facts.num_cpus))
    for name, wanted, there in asked:
        if wanted is not None and wanted != there:
            raise ClusterError(
                f"a cluster with {name}={there:g} runs already, {name}={wanted:g} was asked for",
                "leave it out to use that one, or stop it first: workbench.stop()",
            )


def _compare_versions(head: ray_cluster.Head) -> None:
    ours = ray_cluster.versions()
    theirs = (head.ray_version, head.python_version)
    if ours != theirs:
        raise ClusterError(
            f"the cluster runs Ray {theirs[0]} on Python {theirs[1]}, "
            f"this kernel has Ray {ours[0]} on Python {ours[1]}",
            "use that environment's kernel, or restart the cluster: workbench.stop()",
        )
