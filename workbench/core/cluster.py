"""Facts about a cluster, as values."""

from __future__ import annotations

from dataclasses import dataclass


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
            f"Ray {self.ray_version} · {nodes} · {self.num_cpus:g} CPUs · {self.gpu_text} · "
            f"{self.http_url}{self.path_text}"
        )

    __repr__ = __str__
