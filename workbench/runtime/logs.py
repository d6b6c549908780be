"""What replicas wrote, and which requests they answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from workbench.adapters import cells, ray_handles
from workbench.adapters import cluster as ray_cluster
from workbench.errors import PlanError


class Logs(tuple[str, ...]):
    """Lines of replica output; shows itself as text."""

    def __repr__(self) -> str:
        return "\n".join(self)


def written(
    replicas: Sequence[tuple[str, dict[str, Any]]], tail: int, follow: bool
) -> Logs | Iterator[str]:
    """Output of replicas, given as deployment name and Serve's details.

    Args:
        replicas: whose.
        tail: newest lines per replica and file.
        follow: keep on yielding lines as they come, from the first replica.
    """
    running = [(name, replica) for name, replica in replicas if replica.get("actor_id")]
    if follow:
        return (line for _, replica in running[:1] for line in _lines(replica, tail, True))
    return Logs(
        f"{name} | {cells.resolve(line)}"
        for name, replica in running
        for line in _lines(replica, tail, False)
    )


def _lines(replica: Mapping[str, Any], tail: int, follow: bool) -> Iterator[str]:
    for suffix in ("err",) if follow else ("out", "err"):
        yield from ray_cluster.log_lines(tail, follow, actor_id=replica["actor_id"], suffix=suffix)


def requests(
    app: str, deployments: Mapping[str, Any], deployment: str | None, tail: int, follow: bool
) -> Logs:
    """The newest requests that the ingress of an application answered, oldest first.

    Raises:
        PlanError: a deployment or `follow` is given too.
    """
    if deployment is not None or follow:
        raise PlanError(
            "access=True shows the requests of the ingress, once",
            "leave `deployment` and `follow` out",
        )
    found = ray_handles.requests(app, list(deployments)[-1])
    return Logs(
        f"{datetime.fromtimestamp(time_s):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        + f" | {method} {path} {status} {seconds * 1000:.1f} ms"
        for time_s, method, path, status, seconds in sorted(found)[-tail:]
    )
