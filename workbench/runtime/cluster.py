"""The cluster that this kernel uses: started, attached to, or stopped."""

from __future__ import annotations

import functools
import tempfile
import time
from dataclasses import dataclass

from workbench.adapters import cluster as ray_cluster
from workbench.adapters import haproxy, ray_serve, ray_workers, state
from workbench.adapters.address import reachable
from workbench.adapters.ray_store import CodeStore
from workbench.core.cluster import Asked, ClusterFacts, lacking
from workbench.errors import ClusterError

from .threads import in_background

FREED_S, LOOK_EVERY_S = 5.0, 0.1
LEAVE_OUT = "leave it out to use the cluster as it is"
FREE_IT = f"{LEAVE_OUT}; or workbench.delete(...) what runs and call workbench.start() again"


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
    http_port: int | None = None,
    address: str | None = None,
    data_path: str = "auto",
) -> Cluster:
    """Start a cluster or attach to the one that runs; see `workbench.start`."""
    _check(num_gpus, num_cpus, http_port)
    path = _path(data_path)
    if address is not None:
        return _attach_to(address, http_port)
    asked = Asked(num_gpus, num_cpus, http_port, None if data_path == "auto" else path)
    if ray_cluster.attached() and ray_cluster.is_gone():
        ray_cluster.detach()
    if not ray_cluster.attached():
        with state.lock("cluster"):
            known = ray_cluster.known_head()
            head = known or ray_cluster.launch(num_cpus, num_gpus, http_port, path)
            _join(head, fresh=known is None)
    here = _here()
    lacks = lacking(asked, here.facts)
    return _with_more(asked, here.facts, lacks) if lacks else here


def _join(head: ray_cluster.Head, fresh: bool) -> None:
    """Attach to a cluster, which was launched just now where it is `fresh`."""
    _compare_versions(head)
    ray_cluster.attach(head.address, fresh=fresh)
    CodeStore()  # comes up beside Serve
    ray_cluster.start_serve(head.http_port)


def _with_more(asked: Asked, there: ClusterFacts, lacks: str) -> Cluster:
    """Put a cluster that has what was asked for in the place of one that nothing uses.

    Raises:
        ClusterError: something uses it, or others started it.
    """
    with state.lock("cluster"):
        head = ray_cluster.own()
        if head is None:
            raise ClusterError(f"{lacks}; others started it", LEAVE_OUT)
        used_by = _used_by()
        if used_by:
            raise ClusterError(f"{lacks} and cannot be restarted: {used_by}", FREE_IT)
        more_cpus = (asked.num_cpus or 0) > there.num_cpus
        more_gpus = (asked.num_gpus or 0) > there.num_gpus
        other_port = asked.http_port not in (None, head.http_port)
        if other_port:
            ray_cluster.free_port(asked.http_port)  # refused before the cluster is let go
        ray_cluster.detach()
        ray_cluster.clear(head)
        new = ray_cluster.launch(
            asked.num_cpus if more_cpus else head.num_cpus,
            asked.num_gpus if more_gpus else head.num_gpus,
            asked.http_port if other_port else head.http_port,
            asked.data_path or head.data_path,
            (*head.replaces, head.cluster_id),
        )
        _join(new, fresh=True)
    return _here()


def _used_by() -> str:
    """What uses the cluster: "it serves 'rag', 'echo'", or ""."""
    names = ray_serve.details()
    if names:
        return f"it serves {', '.join(map(repr, names))}"
    until_s = time.monotonic() + FREED_S  # replicas that end give their bookings back a bit later
    while booked := ray_cluster.room().booked:
        if time.monotonic() > until_s:
            return "something books " + ", ".join(f"{n:g} {name}" for name, n in booked.items())
        time.sleep(LOOK_EVERY_S)
    return ""


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
        gone, new = ray_cluster.own(), ray_cluster.known_head()
        ray_cluster.detach()
        if gone and new and gone.cluster_id in new.replaces:
            start()  # another kernel asked for more while nothing served
            return
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


def _attach_to(address: str, http_port: int | None) -> Cluster:
    address = reachable(address)  # before the cluster in use is let go
    ray_cluster.detach()
    ray_cluster.attach(address)
    ray_cluster.start_serve(http_port or ray_cluster.HTTP_PORTS[0])
    return _here()


def _check(num_gpus: float | None, num_cpus: float | None, http_port: int | None) -> None:
    for name, value in (("num_gpus", num_gpus), ("num_cpus", num_cpus)):
        if value is not None and (isinstance(value, bool) or not 0 <= value <= 100_000):
            raise ClusterError(f"{name}={value!r} is no number of 0 or more", "such as 1, or None")
    if http_port is None:
        return
    if isinstance(http_port, bool) or not isinstance(http_port, int) or not 0 < http_port < 65536:
        raise ClusterError(f"http_port={http_port!r} is no TCP port", "such as 8000, or None")


def _path(data_path: str) -> str:
    """The data path that a new cluster gets; "auto" is the fast one wherever it can run."""
    if data_path not in ("auto", "fast", "python"):
        raise ClusterError(f"data_path={data_path!r} is none", 'choose "auto", "fast" or "python"')
    problem = "" if data_path == "python" else haproxy.problem(tempfile.gettempdir())
    if problem and data_path == "fast":
        raise ClusterError(f"the fast data path cannot run: {problem}", 'data_path="python"')
    return "python" if problem or data_path == "python" else "fast"


def _compare_versions(head: ray_cluster.Head) -> None:
    ours = ray_cluster.versions()
    theirs = (head.ray_version, head.python_version)
    if ours != theirs:
        raise ClusterError(
            f"the cluster runs Ray {theirs[0]} on Python {theirs[1]}, "
            f"this kernel has Ray {ours[0]} on Python {ours[1]}",
            "use that environment's kernel, or restart the cluster: workbench.stop()",
        )
