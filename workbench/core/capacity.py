"""Whether a graph fits on the cluster, and the arithmetic when it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .graph import Need, Node

COUNTED = ("CPU", "GPU")


@dataclass(frozen=True)
class Room:
    """Logical resources of a cluster.

    Attributes:
        total: amount by resource name, all nodes together.
        free: amount that nothing has booked.
        largest: amount by resource name on the node that has most of it.
    """

    total: Mapping[str, float]
    free: Mapping[str, float]
    largest: Mapping[str, float]

    @property
    def booked(self) -> dict[str, float]:
        """CPUs and GPUs that something has booked, by resource name."""
        taken = {name: self.total.get(name, 0.0) - self.free.get(name, 0.0) for name in COUNTED}
        return {name: amount for name, amount in taken.items() if amount > 1e-9}


def shortage(
    nodes: Iterable[Node], room: Room, live: Mapping[str, int], beside: Collection[str]
) -> str:
    """Say what does not fit, or "".

    Args:
        nodes: deployments that are wanted.
        room: what the cluster has.
        live: replicas that run now by deployment name; their bookings are freed afterwards.
        beside: names of those of which a new replica must fit beside the old ones.

    Returns:
        One line per resource that is short: what is needed, by whom, what there is.
    """
    nodes = tuple(nodes)
    lines = [_too_large(node, room) for node in nodes]
    if any(lines):
        return "\n".join(line for line in lines if line)
    names = sorted({resource for node in nodes for resource, _ in node.need.items()})
    lines = [_too_many(name, nodes, room) for name in names]
    if any(lines):
        return "\n".join(line for line in lines if line)
    return "\n".join(line for line in (_short(n, nodes, room, live, beside) for n in names) if line)


def _too_large(node: Node, room: Room) -> str:
    for name, amount in node.need.items():
        if amount > room.largest.get(name, 0.0) + 1e-9:
            return (
                f"{node.name!r} needs {amount:g} {name} per replica, "
                f"the cluster's largest node has {room.largest.get(name, 0.0):g}"
            )
    return ""


def _too_many(name: str, nodes: tuple[Node, ...], room: Room) -> str:
    """What does not fit even with nothing else on the cluster."""
    shares = [(node, dict(node.need.items()).get(name, 0.0)) for node in nodes]
    needed, total = sum(n.replicas * amount for n, amount in shares), room.total.get(name, 0.0)
    if needed <= total + 1e-9:
        return ""
    parts = ", ".join(f"{n.name} {n.replicas} x {amount:g}" for n, amount in shares if amount)
    return f"needs {needed:g} {name} in all ({parts}), the cluster has {total:g}"


def _short(
    name: str,
    nodes: tuple[Node, ...],
    room: Room,
    live: Mapping[str, int],
    beside: Collection[str],
) -> str:
    parts, extra = [], 0.0
    for node in nodes:
        amount, have = dict(node.need.items()).get(name, 0.0), live.get(node.name, 0)
        more = max(node.replicas - have, 0)
        if have and node.name in beside and node.surges:
            more = max(more, 1)
        if amount and more:
            parts.append(f"{node.name} {more} x {amount:g}")
            extra += more * amount
    free = room.free.get(name, 0.0)
    if extra <= free + 1e-9:
        return ""
    where = " beside what runs" if any(live.values()) else ""
    return (
        f"needs {extra:g} {name}{where} ({', '.join(parts)}), "
        f"{free:g} of {room.total.get(name, 0.0):g} free"
    )


def waiting_for(need: Need, room: Room) -> str:
    """Why a replica that is not placed yet cannot be: "needs 0.5 GPU, 0.3 free", or ""."""
    short = [
        f"needs {amount:g} {name}, {room.free.get(name, 0.0):g} free"
        for name, amount in need.items()
        if amount > room.free.get(name, 0.0) + 1e-9
    ]
    return "; ".join(short)
