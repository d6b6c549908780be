"""Ray's own processes: `ray start --head` as a daemon, attaching to it, ending it."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import ray
from ray import serve

from workbench.core.capacity import Room
from workbench.core.cluster import ClusterFacts, logical_cpus
from workbench.errors import ClusterError
from workbench.replica import ids

from . import haproxy, machine, processes, ray_handles, ray_serve, ray_token, ray_workers, state
from .ray_connect import connect

FILE = "cluster.json"
STARTING = "starting.json"
START_TIMEOUT_S = 90
START_ATTEMPTS = 2  # Ray gives its raylet 30 s, too few while a cold disk reads; then it is warm
HTTP_PORTS = range(8000, 9000)
FIRST_WORKERS = 3  # start beside Serve's controller and proxy, not after them
# Environment of every process of the cluster, each with its reason.
SETTINGS = {
    "RAY_AUTH_MODE": "token",  # `ray start` would run without authentication
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.05",  # halves what each step of a rollout waits
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "0",  # it comes up beside the rest, not before it
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_worker_niceness": "0",  # at Ray's 15, whatever else runs here goes before a service
    "RAY_metrics_report_interval_ms": "1000",  # figures of the last second, not of the last ten
    "DASHBOARD_METRIC_PORT": "-1",  # it would listen on every address without the token; a port
    # that cannot be bound keeps it off
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; silences its warning
}
# What the fast data path adds.
FAST_SETTINGS = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # requests go to replicas' own ports, past Serve's proxy
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",  # calls of deployments go past Ray's object store
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),  # images and tensors above 4 MiB
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",  # else a replaced replica stays for 30
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",  # streams outlive a change of replicas that long
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",  # the latter for GET alone
    "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",  # a replica that refuses has ended: on to the
    "RAY_SERVE_HAPROXY_RETRIES": "16",  # next, and from the last one to Serve's own proxy
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # one that died is missed in 3 s, not in 30
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # Python would parse a line at each request
}


@dataclass(frozen=True)
class Head:
    """A cluster that we started, as kept in the state folder.

    Attributes:
        cluster_id: the mark in the environment of its processes.
        address: host and port of the control store.
        dashboard: host and port of the dashboard.
        http_port: port of the ingresses.
        temp_dir: private folder around Ray's own for sockets and logs.
        ray_version: version that it was started with.
        python_version: version that it was started with.
        num_cpus: logical CPUs asked for, or None.
        num_gpus: GPUs asked for, or None.
        data_path: "fast" or "python".
        daemons: process ids of the control store and the raylet.
        replaces: ids of earlier clusters that served nothing when this one took their place.
    """

    cluster_id: str
    address: str
    dashboard: str
    http_port: int
    temp_dir: str
    ray_version: str
    python_version: str
    num_cpus: float | None
    num_gpus: float | None
    data_path: str = "python"
    daemons: tuple[int, ...] = ()
    replaces: tuple[str, ...] = ()


def versions() -> tuple[str, str]:
    """Versions of Ray and Python here, as compared with a cluster's."""
    return ray.__version__, ".".join(map(str, sys.version_info[:3]))


def known_head() -> Head | None:
    """The cluster of the state folder whose daemons live, or None; a dead one is cleared away."""
    content = state.read(FILE)
    if content is None:
        return None
    head = Head(**content)
    if _lives(head):
        return head
    clear(head)
    return None


def is_gone() -> bool:
    """Whether the daemons of the cluster that this process is attached to have died.

    False for a cluster that others started, with a state folder of their own.
    """
    head = own()
    return head is not None and not _lives(head)


def own() -> Head | None:
    """The cluster that this process is attached to, if it is of its state folder."""
    return _attached_to.get(address())


def _lives(head: Head) -> bool:
    """Whether both its daemons do."""
    return len(head.daemons) >= 2 and all(
        processes.lives(each, head.cluster_id) for each in head.daemons
    )


def _remember() -> None:
    """Note which daemons this process is attached to, if they are of its state folder."""
    head = known_head()
    if head is not None and head.address.rpartition(":")[2] == address().rpartition(":")[2]:
        _attached_to[address()] = head


_attached_to: dict[str, Head] = {}  # by the address that Ray has; the file goes with the cluster


def clear(head: Head) -> None:
    """End what is left of a cluster and remove its folder."""
    processes.end(head.cluster_id)
    shutil.rmtree(head.temp_dir, ignore_errors=True)
    state.forget(FILE)


def clear_half_started() -> None:
    """End what a start left that was itself ended half-way. Hold the lock "cluster"."""
    content = state.read(STARTING)
    if content is not None:
        clear(Head(**content))
        state.forget(STARTING)


def launch(
    num_cpus: float | None,
    num_gpus: float | None,
    http_port: int | None,
    data_path: str,
    replaces: tuple[str, ...] = (),
) -> Head:
    """Start the daemons of a new cluster on loopback.

    Args:
        num_cpus: logical CPUs; plenty for the machine's cores when None.
        num_gpus: GPUs; found by Ray when None.
        http_port: port of the ingresses; the first free one from 8000 on when None.
        data_path: "fast" or "python".
        replaces: ids of clusters whose place it takes.

    Returns:
        The cluster.

    Raises:
        ClusterError: the port is taken, or Ray's daemons did not come up.
    """
    http_port = free_port(http_port)
    _, small, mend = machine.shared_memory()
    if small:
        warnings.warn(f"{small}; {mend}", stacklevel=2)
    ray_token.secure()
    gcs, dashboard, *agents = processes.free_ports(9)
    temp_dir = Path(tempfile.gettempdir()) / f"workbench-{os.getuid()}-{secrets.token_hex(4)}"
    temp_dir.mkdir(mode=0o700)
    head = Head(
        cluster_id=uuid.uuid4().hex,
        address=f"127.0.0.1:{gcs}",
        dashboard=f"127.0.0.1:{dashboard}",
        http_port=http_port,
        temp_dir=str(temp_dir),
        ray_version=versions()[0],
        python_version=versions()[1],
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        data_path=data_path,
        replaces=replaces,
    )
    clear_half_started()
    state.write(STARTING, asdict(head))
    _ray_start(head, dashboard, agents)
    daemons = tuple(each.pid for each in processes.daemons(head.cluster_id))
    head = replace(head, daemons=daemons)
    state.write(FILE, asdict(head))
    state.forget(STARTING)
    return head


def free_port(asked: int | None) -> int:
    """The port of the ingresses: as asked, or the first one from 8000 on that nobody has.

    Raises:
        ClusterError: the one that was asked for is taken.
    """
    if asked is None:
        return next(port for port in HTTP_PORTS if not processes.listener(port))
    taken = processes.listener(asked)
    if taken:
        raise ClusterError(
            f"http_port={asked} is taken by {taken}",
            "leave http_port out to get a free one, choose another, or end that process",
        )
    return asked


def _ray_start(head: Head, dashboard: int, agents: list[int]) -> None:
    cores = machine.cores()
    environment = {**os.environ, **SETTINGS, processes.MARK: head.cluster_id}
    environment["RAY_num_workers_soft_limit"] = str(cores)  # of idle ones; else the logical CPUs
    if head.data_path == "fast":
        environment |= FAST_SETTINGS | haproxy.settings(_haproxys(head.temp_dir), agents[4:])
    else:
        environment.setdefault(ids.SETTING, ids.CALLBACK)  # else Serve's proxy adds headers
    environment.pop("RAY_ADDRESS", None)
    environment["TMPDIR"] = head.temp_dir  # daemons leave sockets there when they are ended
    fields = {
        "gcs_server_port": int(head.address.rpartition(":")[2]),
        "dashboard_host": "127.0.0.1",
        "dashboard_port": dashboard,
        "dashboard_agent_listen_port": agents[0],
        "metrics_agent_port": agents[1],
        "runtime_env_agent_port": agents[2],
        "metrics_export_port": agents[3],
        "no_monitor": True,  # no cloud adds nodes; it costs two seconds of a core at each start
        "include_log_monitor": False,  # it sends prints to kernels, which are shown none
        "min_worker_port": 0,
        "max_worker_port": 0,
        "temp_dir": f"{head.temp_dir}/ray",  # Ray opens its own folder to every user
        "num_cpus": logical_cpus(cores) if head.num_cpus is None else head.num_cpus,
        "num_gpus": head.num_gpus,
    }
    command = [sys.executable, "-m", "workbench.adapters.ray_head", json.dumps(fields)]
    _run(command, environment, head)


def _run(command: list[str], environment: dict[str, str], head: Head) -> None:
    log = Path(head.temp_dir) / "start.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            _run_once(command, environment, log)
        except (subprocess.SubprocessError, KeyboardInterrupt) as error:
            tail = log.read_text()[-2000:]
            if isinstance(error, subprocess.SubprocessError) and attempt < START_ATTEMPTS:
                processes.end(head.cluster_id)
                continue
            clear(head)
            raise ClusterError(f"ray start failed: {error}\n{tail}", "workbench doctor") from error
        return


def _run_once(command: list[str], environment: dict[str, str], log: Path) -> None:
    with log.open("w") as file:
        subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=START_TIMEOUT_S,
            check=True,
            start_new_session=True,  # a Ctrl-C in the terminal is not for the daemons
        )


def attach(address: str, fresh: bool = False) -> None:
    """Connect this process to a cluster.

    Args:
        address: host and port of the control store, or "auto".
        fresh: it was launched just now.

    Raises:
        ClusterError: nothing answers there, the token is refused, or versions differ.
    """
    if os.environ.get("RAY_AUTH_MODE", "token") == "token":
        ray_token.secure()
        ray_serve.enable_token()
    try:
        connect(address)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        advice = "workbench.start() starts one" if address == "auto" else "workbench doctor"
        raise ClusterError(f"cannot attach to {address}: {error}", advice) from error
    _remember()
    if fresh:
        ray_workers.start(FIRST_WORKERS, ray_workers.raylet_of_head())


def start_serve(http_port: int) -> None:
    """Start Serve on the cluster that this process is connected to, unless it runs."""
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # a cell is no place for its news
    serve.start(http_options={"host": "127.0.0.1", "port": http_port})


def routed(app: str, route_prefix: str | None, replicas: Mapping[str, bool]) -> bool:
    """Whether requests find an application whose replicas run; behind HAProxy that comes later.

    Args:
        app: application name.
        route_prefix: path of its ingress, or None.
        replicas: by id of each replica of the ingress, whether it is to be found.
    """
    content = state.read(FILE)
    if content is None or content.get("data_path") != "fast" or route_prefix is None:
        return True
    try:
        known = {
            name.rpartition("-")[2] for name in haproxy.servers(_haproxys(content["temp_dir"]))
        }
        found = all((each in known) == wanted for each, wanted in replicas.items())
        return found and haproxy.routes(content["http_port"]).get(route_prefix) == app
    except OSError:  # it is being started again
        return False


def _haproxys(temp_dir: str) -> Path:
    return Path(temp_dir) / "h"  # one letter: paths of sockets must be short


def detach() -> None:
    """Disconnect this process from Ray. Harmless when it is not connected."""
    if ray.is_initialized():
        ray_handles.stop_background()
        ray.shutdown()


def attached() -> bool:
    """Whether this process is connected to a cluster."""
    return bool(ray.is_initialized())


def address() -> str:
    """Host and port of the control store that this process is connected to."""
    return str(ray.get_runtime_context().gcs_address)


def facts(http_url: str, dashboard: str, data_path: str) -> ClusterFacts:
    """Facts of the cluster that this process is connected to."""
    resources, nodes = ray.cluster_resources(), [n for n in ray.nodes() if n["Alive"]]
    booked = resources.get("GPU", 0.0)
    heads = [n for n in nodes if ray_workers.HEAD_NODE in n["Resources"]]
    ports = [n["MetricsExportPort"] for n in heads if n.get("MetricsExportPort")]
    return ClusterFacts(
        address=address(),
        http_url=http_url,
        dashboard_url=f"http://{dashboard}" if dashboard else "",
        num_cpus=resources.get("CPU", 0.0),
        num_gpus=booked,
        simulated_gpus=len(nodes) == 1 and booked > 0 and booked > machine.physical_gpus(),
        nodes=len(nodes),
        ray_version=ray.__version__,
        data_path=data_path,
        metrics_url=f"http://127.0.0.1:{ports[0]}/metrics" if ports else "",
        cores=machine.cores() if len(nodes) == 1 and own() is not None else 0,
    )


def room() -> Room:
    """Resources of the cluster now."""
    largest: dict[str, float] = {}
    for node in ray.nodes():
        if node["Alive"]:
            for name, amount in node["Resources"].items():
                largest[name] = max(largest.get(name, 0.0), amount)
    return Room(ray.cluster_resources(), ray.available_resources(), largest)
