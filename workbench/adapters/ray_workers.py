"""Worker processes that wait for the next replica: starting Python is most of what one costs."""

from __future__ import annotations

import contextlib

import grpc
import psutil
import ray

from . import processes

HEAD_NODE = "node:__internal_head__"  # a resource that Ray gives the head alone
TIMEOUT_S = 5.0
KEPT_S = 24 * 60 * 60
WAITING = "ray::IDLE"  # the title of a worker without work

# --- private names of Ray -------------------------------------------------------------------------
# The raylet's PrestartWorkers: a replica would start a process first, half of what it takes; Ray's
# setting for it, RAY_enable_worker_prestart, starts one for every logical CPU. Workers for no job
# fit every replica without a runtime_env of its own.
from ray._private.grpc_utils import init_grpc_channel  # noqa: E402
from ray.core.generated.common_pb2 import Language  # noqa: E402
from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest  # noqa: E402
from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub  # noqa: E402


def start(count: int, raylet: str) -> None:
    """Have workers started; returns before they run. Without them the next start is slower.

    Args:
        count: how many.
        raylet: host and port of the raylet.
    """
    request = PrestartWorkersRequest(
        language=Language.PYTHON, num_workers=count, keep_alive_duration_secs=KEPT_S
    )
    with init_grpc_channel(raylet) as channel, contextlib.suppress(grpc.RpcError):
        NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=TIMEOUT_S)


# --- end of private names -------------------------------------------------------------------------


def raylet_of_head() -> str:
    """Host and port of the raylet of the head that this process is connected to."""
    head = next(n for n in ray.nodes() if n["Alive"] and HEAD_NODE in n["Resources"])
    return f"{head['NodeManagerAddress']}:{head['NodeManagerPort']}"


def keep_one(cluster_id: str) -> None:
    """Have a worker started unless one of the cluster waits. Does nothing where it is gone.

    Args:
        cluster_id: the mark of the cluster's processes, which run on this machine.
    """
    if not any(map(waits, processes.marked(cluster_id))):
        with contextlib.suppress(Exception):  # Ray's own, of many kinds
            start(1, raylet_of_head())


def waits(process: psutil.Process) -> bool:
    """Whether a process of a cluster is a worker without work."""
    with contextlib.suppress(psutil.Error):
        return "".join(process.cmdline()).strip() == WAITING
    return False
