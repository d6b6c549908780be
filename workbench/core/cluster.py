"""Facts about a cluster, as values."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_CPUS, CPUS_PER_CORE = 16, 8


def logical_cpus(cores: int) -> int:
    """How many CPUs replicas may book on a machine with so many cores.

    A replica books one CPU unless told otherwise, whatever it uses: a booking is no load. On the
    smallest machine three replicas, their successors beside them and further applications must fit.
    """
    return max(FEWEST_CPUS, CPUS_PER_CORE * cores)


@dataclass(frozen=True)
class Asked:
    """What a cluster is to have; None where anything will do.

    Attributes:
        num_gpus: at least so many GPUs.
        num_cpus: at least so many logical CPUs.
        http_port: port of the ingresses.
        data_path: "fast" or "python".
    """

    num_gpus: float | None = None
    num_cpus: float | None = None
    http_port: int | None = None
    data_path: str | None = None


@dataclass(frozen=True)
class ClusterFacts:
    """A Ray cluster as the notebook sees it.

    Attributes:
        address: host and port of Ray's control store.
        http_url: where the ingresses answer.
        dashboard_url: Ray's dashboard, or "".
        num_cpus: logical CPUs, all nodes together.
        num_gpus: GPUs, all nodes together.
        simulated_gpus: the GPUs are logical ones for booking; the machine has fewer.
        nodes: machines that are alive.
        ray_version: version of Ray that this kernel uses.
        data_path: how requests reach the replicas: "fast" by HAProxy, "python" by Serve's own
            proxy, "" on a cluster that others started.
        metrics_url: what a Prometheus on the head's machine reads.
        cores: those of this machine where the cluster is this machine alone, else 0.
    """

    address: str
    http_url: str
    dashboard_url: str
    num_cpus: float
    num_gpus: float
    simulated_gpus: bool
    nodes: int
    ray_version: str
    data_path: str = ""
    metrics_url: str = ""
    cores: int = 0

    @property
    def cpu_text(self) -> str:
        """CPUs as shown to the user: "2 cores (16 logical)", or "64 CPUs" of several machines."""
        if not self.cores or self.cores == self.num_cpus:
            return f"{self.num_cpus:g} CPU" + ("" if self.num_cpus == 1 else "s")
        plural = "" if self.cores == 1 else "s"
        return f"{self.cores} core{plural} ({self.num_cpus:g} logical)"

    @property
    def gpu_text(self) -> str:
        """GPUs as shown to the user: "no GPU", "1 GPU", "2 GPUs (simulated)"."""
        if not self.num_gpus:
            return "no GPU"
        plural = "" if self.num_gpus == 1 else "s"
        return f"{self.num_gpus:g} GPU{plural}" + (" (simulated)" if self.simulated_gpus else "")

    @property
    def path_text(self) -> str:
        """The data path as shown behind the address: " (fast data path)", or ""."""
        return f" ({self.data_path} data path)" if self.data_path else ""

    def __str__(self) -> str:
        nodes = f"{self.nodes} node" + ("" if self.nodes == 1 else "s")
        return (
            f"Ray {self.ray_version} · {nodes} · {self.cpu_text} · {self.gpu_text} · "
            f"{self.http_url}{self.path_text}"
        )

    __repr__ = __str__


def lacking(asked: Asked, there: ClusterFacts) -> str:
    """Say what a cluster lacks of what was asked for, or "".

    More than was asked for is enough: others use the same cluster.
    """
    port = int(there.http_url.rpartition(":")[2])
    compared = (
        ("num_gpus", asked.num_gpus, there.num_gpus, (asked.num_gpus or 0) <= there.num_gpus),
        ("num_cpus", asked.num_cpus, there.num_cpus, (asked.num_cpus or 0) <= there.num_cpus),
        ("http_port", asked.http_port, port, asked.http_port in (None, port)),
        ("data_path", asked.data_path, there.data_path, asked.data_path in (None, there.data_path)),
    )
    short = [(name, wanted, have) for name, wanted, have, enough in compared if not enough]
    if not short:
        return ""
    wants = ", ".join(f"{name}={_plain(wanted)}" for name, wanted, _ in short)
    has = ", ".join(f"{name}={_plain(have)}" for name, _, have in short)
    return f"{wants} was asked for, the cluster that runs has {has}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
