"""What a deploy would do to each deployment, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """What happens to one deployment.

    Attributes:
        deployment: deployment name.
        kind: keep, tune, swap, replace, add or remove.
        reason: why, in the user's words.
    """

    deployment: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.deployment}: {self.kind} ({self.reason})"


@dataclass(frozen=True)
class Plan:
    """What `deploy()` would do; making one changes nothing.

    Attributes:
        app: application name.
        route_prefix: path under which the ingress will answer.
        actions: one entry per deployment, callees before callers, removals last.
    """

    app: str
    route_prefix: str
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.app} at {self.route_prefix}", *(f"  {a}" for a in self.actions)])

    __repr__ = __str__


def make_plan(app: str, route_prefix: str, wanted: list[str], live: list[str]) -> Plan:
    """Compare the deployments that are wanted with those that run.

    Args:
        app: application name.
        route_prefix: path under which the ingress will answer.
        wanted: deployment names of the new graph, callees before callers.
        live: deployment names that run now.

    Returns:
        The plan. Deployments on both sides are replaced: their new replicas start beside the old.
    """
    actions = [
        Action(name, "replace", "new replicas start beside the old ones and take over when healthy")
        if name in live
        else Action(name, "add", "not running yet")
        for name in wanted
    ]
    gone = [Action(name, "remove", "no longer in the graph") for name in live if name not in wanted]
    return Plan(app, route_prefix, tuple(actions + gone))
