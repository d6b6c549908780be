"""What may be wrong with this machine or cluster, and the command that mends it."""

from __future__ import annotations

import importlib.util
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workbench.core.cluster import logical_cpus
from workbench.core.models import MODELS

from . import cluster, haproxy, history, machine, models, processes, ray_token, state

AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")
DISK_WANTED_BYTES = 5 * 2**30
RESTORE = "workbench up && workbench restore"
COME_BACK = f"workbench down && {RESTORE}"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is as it should be.
        found: what was found.
        mend: the command that mends it, or "".
    """

    name: str
    ok: bool
    found: str
    mend: str = ""


def checks(http_port: int | None = None) -> list[Check]:
    """Look at everything that a deploy needs. Changes nothing."""
    return [
        _versions(),
        _shared_memory(),
        _disk(),
        _port(http_port),
        _data_path(),
        _token(),
        _leftovers(),
        _gpus(),
        _cores(),
        _models(),
        _installed("jupyterlab", "JupyterLab"),
        _installed("transformers", "transformers"),
    ]


def _versions() -> Check:
    content = state.read(cluster.FILE)
    ours = "Ray {}, Python {}".format(*cluster.versions())
    if content is None:
        return Check("versions", True, ours)
    head = cluster.Head(**content)
    theirs = f"Ray {head.ray_version}, Python {head.python_version}"
    same = ours == theirs
    found = ours if same else f"here {ours}, the cluster has {theirs}"
    return Check("versions", same, found, "" if same else "workbench down && workbench up")


def _shared_memory() -> Check:
    free, problem, mend = machine.shared_memory()
    return Check("/dev/shm", not problem, f"{free / 2**30:.1f} GiB free", mend if problem else "")


def _models() -> Check:
    missing = [name for name in MODELS if not (models.cache() / name).is_dir()]
    found = f"{', '.join(missing)} not fetched yet" if missing else f"in {models.cache()}"
    return Check("models", not missing, found, "workbench models" if missing else "")


def _disk() -> Check:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    ok = free >= DISK_WANTED_BYTES
    found = f"{free / 2**30:.1f} GiB free in {tempfile.gettempdir()}"
    return Check("disk", ok, found, "" if ok else "free some space, or set TMPDIR to a larger disk")


def _port(http_port: int | None) -> Check:
    content = state.read(cluster.FILE)
    port = cluster.Head(**content).http_port if content else http_port or cluster.HTTP_PORTS[0]
    taken = processes.listener(port)
    if not taken:
        return Check("ingress port", True, f"{port} is free")
    if content is None and http_port is None:
        return Check("ingress port", True, f"the next free one; {port}: {taken}")
    ours = content is not None and processes.listens(port, content["cluster_id"])
    mend = "" if ours else "end that process, or workbench up --http-port PORT"
    return Check("ingress port", ours, f"{port}: {taken}", mend)


def _data_path() -> Check:
    content, problem = state.read(cluster.FILE), haproxy.problem(tempfile.gettempdir())
    if content is not None:
        return Check("data path", True, f"{cluster.Head(**content).data_path}, of this cluster")
    return Check("data path", True, f"python; not fast: {problem}" if problem else "python or fast")


def _token() -> Check:
    path = ray_token.path()
    if not path.exists():
        return Check("token", True, "made at the first start")
    private = not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    found = f"{path} is {'private' if private else 'readable by others'}"
    return Check("token", private, found, "" if private else f"chmod 600 {path}")


def _leftovers() -> Check:
    content = state.read(cluster.FILE)
    known = content["cluster_id"] if content else None
    alive = bool(known) and len(processes.daemons(str(known))) >= 2
    if content and not alive:
        return Check("cluster", False, f"its daemons are gone{_served_last()}", COME_BACK)
    orphans = sorted(processes.clusters() - ({known} if alive else set()))
    orphans = [each for each in orphans if not processes.daemons(each)]
    if orphans:
        pids = " ".join(str(p.pid) for each in orphans for p in processes.marked(each))
        return Check("cluster", False, f"processes of a dead cluster: {pids}", f"kill {pids}")
    if alive:
        return Check("cluster", True, "running")
    last = _served_last()
    return Check("cluster", True, f"none runs{last}", RESTORE if last else "")


def _served_last() -> str:
    """What would come back, or ""."""
    served = history.here().apps() if (state.folder() / history.FILE).exists() else ()
    return f"; {', '.join(served)} served last" if served else ""


def _gpus() -> Check:
    count = machine.physical_gpus()
    return Check(
        "GPU", True, f"{count} found by NVML" if count else "none; num_gpus=1 simulates one"
    )


def _cores() -> Check:
    """How tasks share them: by session, a notebook that needs them all holds replicas up.

    Source:
        sched(7), "The autogroup feature".
    """
    cores = machine.cores()
    count = f"{cores}; replicas may book {logical_cpus(cores)} logical ones"
    if not AUTOGROUP.exists() or AUTOGROUP.read_text().strip() != "1":
        return Check("cores", True, count)
    told = "beside a notebook that takes them all, requests may wait 0.1 s"
    share_by_process = "sysctl kernel.sched_autogroup_enabled=0"
    return Check("cores", True, f"{count}, shared by session: {told}", share_by_process)


def _installed(module: str, name: str) -> Check:
    ok = importlib.util.find_spec(module) is not None
    mend = "" if ok else f"pip install {module}"
    return Check(name, ok, "installed" if ok else "not installed", mend)
