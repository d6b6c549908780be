"""What runs, as values: one application, its deployments, and one line of progress for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeploymentStatus:
    """One deployment as Serve reports it.

    Attributes:
        name: deployment name.
        state: Serve's word: HEALTHY, UPDATING, UPSCALING, DOWNSCALING, UNHEALTHY, DEPLOY_FAILED.
        replicas_running: replicas that take requests now.
        replicas_target: replicas that are wanted.
        replicas_starting: replicas that are being started.
        message: Serve's message, or "".
        num_cpus: logical CPUs booked by each replica.
        num_gpus: GPUs booked by each replica, fractions allowed.
        revision: number of the revision that its code belongs to, or None when not ours.
        waiting_for: why no replica can start, such as "needs 0.5 GPU, 0.3 free", or "".
    """

    name: str
    state: str
    replicas_running: int
    replicas_target: int
    replicas_starting: int = 0
    message: str = ""
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    revision: int | None = None
    waiting_for: str = ""


@dataclass(frozen=True)
class AppStatus:
    """One application as Serve reports it.

    Attributes:
        name: application name.
        route_prefix: path under which its ingress answers, or None without an ingress.
        url: full address of the ingress, or "".
        state: Serve's word: RUNNING, DEPLOYING, UNHEALTHY, DEPLOY_FAILED, DELETING.
        revision: number of the revision that serves, or None when it was not deployed by workbench.
        message: Serve's message, or "".
        deployments: one entry per deployment, callers before callees.
    """

    name: str
    route_prefix: str | None
    url: str
    state: str
    revision: int | None = None
    message: str = ""
    deployments: tuple[DeploymentStatus, ...] = ()

    def __str__(self) -> str:
        return status_text(self)

    __repr__ = __str__


@dataclass(frozen=True)
class ProgressLine:
    """One deployment's line while a deploy is under way.

    Attributes:
        deployment: deployment name.
        state: starting, waiting, ready or failed.
        running: replicas of the new revision that are ready.
        target: replicas that are wanted.
        elapsed_s: seconds since the deploy began.
        detail: why it waits or what it does, or "".
    """

    deployment: str
    state: str
    running: int
    target: int
    elapsed_s: float = 0.0
    detail: str = ""


def word(state: object) -> str:
    """Serve's word for a state, such as RUNNING, whether it comes as an enum or as text."""
    return str(getattr(state, "value", state))


def status_text(status: AppStatus) -> str:
    """Render a status as plain text: one head line, then one line per deployment."""
    revision = f" · revision {status.revision}" if status.revision is not None else ""
    head = f"{status.name} · {status.state}{revision} · {status.url or 'no ingress'}"
    return "\n".join([head, *(f"  {_deployment_text(each)}" for each in status.deployments)])


def _deployment_text(each: DeploymentStatus) -> str:
    resources = f"{each.num_cpus:g} CPU"
    if each.num_gpus:
        resources += f", {each.num_gpus:g} GPU"
    text = f"{each.name}: {each.state}, {each.replicas_running}/{each.replicas_target} replicas"
    return f"{text}, {resources} each" + (f", {each.waiting_for}" if each.waiting_for else "")
