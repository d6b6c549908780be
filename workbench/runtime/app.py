"""One application, as the notebook holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workbench.adapters import cells, ray_handles, ray_serve, ray_store, state
from workbench.adapters import cluster as ray_cluster
from workbench.adapters.history import History
from workbench.adapters.http import Ingress
from workbench.core.capacity import Room, waiting_for
from workbench.core.graph import Need
from workbench.core.knobs import Knobs, Tuned
from workbench.core.metrics import Sample, Series
from workbench.core.nearest import suggestion
from workbench.core.openapi import Operation, operations
from workbench.core.revision import Diff, Revision, Revisions, diff_of
from workbench.core.status import AppStatus, DeploymentStatus, word
from workbench.errors import PlanError
from workbench.replica.host import CALL

from . import figures, logs, releases, rollback, rollout, tune
from .cluster import Cluster, check_there


def _key_header() -> dict[str, str]:
    key = state.ingress_key()
    return {"x-api-key": key} if key else {}


class App:
    """A deployed application: query it, look at it, change it.

    Made by `workbench.deploy()` and `workbench.connect()`.

    Attributes:
        name: application name.
        route_prefix: path under which its ingress answers.
        url: full address of the ingress.
        docs_url: address of FastAPI's interactive documentation.
    """

    def __init__(
        self,
        name: str,
        route_prefix: str,
        cluster: Cluster,
        history: History,
        show: Callable[[], rollout.Progress] = rollout.Silent,
    ) -> None:
        self.name, self.route_prefix = name, route_prefix
        self._cluster, self._history, self._show = cluster, history, show
        self.url = cluster.http_url + ("" if route_prefix == "/" else route_prefix)
        self.docs_url = f"{self.url}/docs"
        self._ingress = Ingress(self.url, traceback_of=self._traceback_of, headers=_key_header)

    def __repr__(self) -> str:
        return f"{self.name} at {self.route_prefix}"

    @property
    def cluster(self) -> Cluster:
        """The cluster that it runs on."""
        return self._cluster

    @property
    def client(self) -> Any:
        """The `httpx.Client` behind `get`, `post` and the others; it raises `IngressError` too."""
        return self._ingress.client

    @property
    def call(self) -> Any:
        """One function per OpenAPI operation, such as `app.call.chat(query="...")`."""
        return self._ingress.call

    def operations(self) -> tuple[Operation, ...]:
        """The operations of the ingress, read anew from its OpenAPI document.

        Raises:
            IngressError: the service does not describe itself, or does not answer.
        """
        return operations(self._ingress.document())

    def get(self, path: str = "/", **options: Any) -> Any:
        """Send GET; see `request`."""
        return self._ingress.get(path, **options)

    def post(self, path: str = "/", **options: Any) -> Any:
        """Send POST; see `request`."""
        return self._ingress.post(path, **options)

    def put(self, path: str = "/", **options: Any) -> Any:
        """Send PUT; see `request`."""
        return self._ingress.put(path, **options)

    def patch(self, path: str = "/", **options: Any) -> Any:
        """Send PATCH; see `request`."""
        return self._ingress.patch(path, **options)

    def delete(self, path: str | None = None, **options: Any) -> Any:
        """Send DELETE; see `request`. `workbench.delete(name)` removes the application.

        Raises:
            PlanError: no path was given.
        """
        if path is None:
            raise PlanError(
                "app.delete() sends HTTP DELETE and needs a path",
                f"app.delete('/path'); workbench.delete({self.name!r}) removes the application",
            )
        return self._ingress.delete(path, **options)

    def request(self, method: str, path: str = "/", **options: Any) -> Any:
        """Send one request to the ingress.

        Args:
            method: HTTP verb.
            path: below the route prefix, such as "/chat".
            **options: as in `httpx.Client.request`.

        Returns:
            The `httpx.Response`, also for 4xx answers.

        Raises:
            IngressError: nothing answered, or a 5xx answer; carries the replica's traceback.
        """
        return self._ingress.request(method, path, **options)

    def stream(self, path: str = "/", *others: str, **options: Any) -> Any:
        """Iterate over an answer while it arrives: server-sent events, lines or chunks.

        Args:
            path: below the route prefix.
            *others: none; the verb does not come first.
            **options: as in `httpx.Client.stream`; `method=` defaults to POST when there is a body.

        Raises:
            IngressError: a 4xx or 5xx answer, or the stream broke.
            PlanError: it was called as `httpx.stream` is; `client.stream` is that.
        """
        return self._ingress.stream(path, *others, **options)

    def websocket(self, path: str = "/", **options: Any) -> Any:
        """Open a websocket; a context manager with `send` and `recv`."""
        return self._ingress.websocket(path, **options)

    def handle(self, deployment: str | None = None) -> Any:
        """The Serve `DeploymentHandle` of a deployment, the ingress by default.

        `handle.method.remote(...).result()` also works inside a cell; `await` works as ever.

        Raises:
            PlanError: there is no such deployment.
        """
        known = list(self._details()["deployments"])
        if deployment is None:
            method = CALL if ray_store.speaks_asgi(self.name, known[-1]) else "__call__"
            return ray_handles.handle(self.name, known[-1], method)
        if deployment not in known:
            raise PlanError(
                f"{self.name!r} has no deployment {deployment!r}", suggestion(deployment, known)
            )
        return ray_handles.handle(self.name, deployment)

    def status(self) -> AppStatus:
        """What Serve says now about the application and each deployment."""
        return status_of(self.name, self._details(), self._history, self._cluster)

    def logs(
        self,
        deployment: str | None = None,
        tail: int = 100,
        follow: bool = False,
        system: bool = False,
        access: bool = False,
    ) -> logs.Logs | Iterator[str]:
        """What the user's code wrote in the replicas: print(), logging, stderr and tracebacks.

        Args:
            deployment: one deployment, or all.
            tail: newest lines of all replicas together, oldest first.
            follow: keep on yielding lines as they come, of replicas that start later too.
            system: Ray's and Serve's own lines too.
            access: instead, the newest requests that the ingress answered: when, verb, path,
                status and milliseconds. Each replica remembers its last thousand.

        Returns:
            The lines, or an iterator when `follow`.

        Raises:
            PlanError: there is no such deployment, `tail` is no number of lines, or `access` is
                given with a deployment or `follow`.
        """
        known = self._details()["deployments"]
        if access:
            return logs.requests(self.name, known, deployment, tail, follow)
        if deployment is not None and deployment not in known:
            raise PlanError(
                f"{self.name!r} has no deployment {deployment!r}", suggestion(deployment, known)
            )

        def replicas() -> logs.Replicas:
            now = self._details()["deployments"]
            names = [deployment] if deployment is not None else list(reversed(now))
            return [(n, r) for n in names for r in now.get(n, {"replicas": ()})["replicas"]]

        return logs.written(replicas, tail, follow, system)

    def tune(
        self,
        deployment: str | None = None,
        *,
        timeout_s: float = 300.0,
        allow_downtime: bool = False,
        **knobs: Any,
    ) -> Tuned | Knobs:
        """Set knobs of the running service, or list them.

        What is set holds in every replica, later ones included, through later deploys until the
        code declares another value, and is part of the revision.

        Args:
            deployment: name of the deployment; may be left out when only one is meant.
            timeout_s: seconds to wait before the change is undone.
            allow_downtime: for what needs new processes: stop the old replicas first where old
                and new do not fit together.
            **knobs: `num_replicas`; or `min_replicas`, `max_replicas` and
                `target_ongoing_requests`, by which Serve adjusts the number; `max_batch_size`,
                `batch_wait_timeout_s` (seconds); `max_ongoing_requests`, `max_queued_requests`;
                `gpu_memory_fraction` (what PyTorch may use of the card, 0 to 1); `num_gpus` and
                `num_cpus` (what Ray books; new processes); `user_config`. All or none are set.

        Returns:
            What is true now, or every knob with its value and range when none is given.

        Raises:
            TuneError: an unknown knob or deployment, or a value out of range; nothing changed.
            CapacityError: it does not fit on the cluster; nothing changed.
            DeployError: a replica refused it; it was undone.
            PlanError: the application does not run, or was deployed with another state folder.
        """
        check_there()
        if not knobs:
            return tune.listed(self.name, deployment)
        return tune.tune(self.name, deployment, knobs, self._show(), timeout_s, allow_downtime)

    def metrics(self, window_s: float | None = None) -> Sample | Series:
        """Live figures of every deployment: requests, errors, latency, batches, CPU and memory.

        They are counted in the replicas, every request, and are about a second old. Requests by
        HTTP and by handle count alike, websockets only as ongoing.

        Args:
            window_s: seconds of the past, up to 180; the newest second alone when None.

        Returns:
            The newest sample, or a series with one sample per second.

        Raises:
            PlanError: the window is not positive or longer than what is kept, or the application
                does not run.
        """
        self._details()
        return (
            figures.newest(self.name) if window_s is None else figures.recent(self.name, window_s)
        )

    def stamp(self) -> object:
        """Something that differs once any kernel has changed a revision, for who looks often."""
        return self._history.stamp()

    def history(self) -> Revisions:
        """Every revision: what was deployed, by whom, with which outcome."""
        if self._history.serving(self.name) is None:
            releases.recall(self.name)
        serving = self._history.serving(self.name)
        past = self._history.revisions(self.name)
        return Revisions(past, serving=serving.number if serving else None)

    def diff(self, a: int | None = None, b: int | None = None) -> Diff:
        """What differs between two revisions, deployment by deployment.

        Args:
            a: number of the older one; the one before `b` when None.
            b: number of the newer one; the one that serves when None.

        Raises:
            PlanError: there is no such revision, or none before it.
        """
        numbers = [each.number for each in self._history.revisions(self.name)]
        serving = self._history.serving(self.name)
        last = serving.number if serving else max(numbers, default=None)
        newer = self._revision(last if b is None else b)
        older = a if a is not None else max((n for n in numbers if n < newer.number), default=None)
        if older is None:
            raise PlanError(
                f"revision {newer.number} of {self.name!r} is the first: "
                "there is none to compare it with",
                "deploy an edit, then app.diff()",
            )
        return diff_of(self._revision(older), newer)

    def rollback(self, to: int | None = None, timeout_s: float = 300.0) -> App:
        """Put the code and options of an earlier revision back, in place where that is possible.

        It becomes a new revision. Works after a kernel restart too.

        Args:
            to: number of the revision; the one that served before the present one when None.
            timeout_s: seconds to wait before it is undone.

        Returns:
            This application.

        Raises:
            PlanError: there is no such revision, it never served, or this Python cannot load it.
            CapacityError: it does not fit on the cluster.
            DeployError: it did not become healthy; what served before still serves.
        """
        rollback.rollback(self.name, to, self._show(), timeout_s)
        return self

    def _revision(self, number: int | None) -> Revision:
        found = None if number is None else self._history.revision(self.name, number)
        if found is None:
            known = [each.number for each in self._history.revisions(self.name)]
            if not known:
                raise PlanError(f"no revision of {self.name!r} is known here", "deploy it first")
            raise PlanError(f"{self.name!r} has no revision {number!r}", f"there are {known}")
        return found

    def _details(self) -> dict[str, Any]:
        check_there()
        found = ray_serve.details()
        if self.name not in found:
            raise PlanError(
                f"no application {self.name!r} runs on the cluster", suggestion(self.name, found)
            )
        return found[self.name]

    def _traceback_of(self, request_id: str) -> str:
        deployments = list(ray_serve.details().get(self.name, {}).get("deployments", {}))
        if not deployments:
            return ""
        return cells.resolve(ray_handles.failure_text(self.name, deployments[-1], request_id))


def status_of(name: str, details: dict[str, Any], history: History, cluster: Cluster) -> AppStatus:
    """Turn Serve's details of one application into a status."""
    serving = history.serving(name)
    revisions = ray_store.revisions(name)
    room = None
    if any(not r.get("pid") for d in details["deployments"].values() for r in d["replicas"]):
        room = ray_cluster.room()
    prefix = details["route_prefix"]
    return AppStatus(
        name=name,
        route_prefix=prefix,
        url="" if prefix is None else cluster.http_url + ("" if prefix == "/" else prefix),
        state=word(details["status"]),
        revision=serving.number if serving else max(revisions.values(), default=None),
        message=rollout.readable(details["message"]),
        deployments=tuple(
            _deployment_status(each, revisions.get(each["name"]), room)
            for each in reversed(list(details["deployments"].values()))
        ),
    )


def _deployment_status(
    found: dict[str, Any], number: int | None, room: Room | None
) -> DeploymentStatus:
    resources = found["required_resources"]
    need = Need(resources.get("CPU", 0.0), resources.get("GPU", 0.0))
    states = [word(r["state"]) for r in found["replicas"]]
    unplaced = any(not r.get("pid") for r in found["replicas"])
    return DeploymentStatus(
        name=found["name"],
        state=word(found["status"]),
        replicas_running=states.count("RUNNING"),
        replicas_target=found["target_num_replicas"],
        replicas_starting=states.count("STARTING"),
        message=rollout.readable(found["message"]),
        num_cpus=need.cpus,
        num_gpus=need.gpus,
        revision=number,
        waiting_for=waiting_for(need, room) if unplaced and room is not None else "",
    )
