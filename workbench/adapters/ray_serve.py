"""Ray Serve: what the notebook's objects become on it, and what it says about them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import cloudpickle, serve

# isort: off
# --- private names of Ray -------------------------------------------------------------------------
# Each with what breaks without it and the public way that was tried; tests/test_ray_contract.py
# checks every one.
#
# Application._bound_deployment: the graph cannot be walked; Application has no public member.
# Deployment._version: every serve.run would replace every deployment; `version=` raises ValueError.
# Deployment._deployment_config.user_configured_option_names: our defaults would overrule what the
#   user set; the public properties do not tell a default from a choice.
# ASGIAppReplicaWrapper: the mark of a class wrapped by @serve.ingress; there is no public one.
# _callable_uses_multiplexing and its marker: a hosted class would lose multiplexed routing.
# _get_global_client()._controller.get_serve_instance_details: state of each replica in
#   milliseconds; the REST call that shows the same needs the dashboard.
# _enable_token_auth: Ray reads RAY_AUTH_MODE when it is imported, which a notebook does before it
#   calls us; the environment variable alone comes too late.
from ray._private.authentication.authentication_token_setup import _enable_token_auth
from ray.serve._private.http_util import ASGIAppReplicaWrapper
from ray.serve._private.utils import MULTIPLEXED_FUNCTION_MARKER_ATTR, _callable_uses_multiplexing
from ray.serve.context import _get_global_client

CONTROLLER_TIMEOUT_S = 10.0


def _bound(application: Any) -> Any:
    return application._bound_deployment


def _chosen(deployment: Any) -> set[str]:
    return set(deployment._deployment_config.user_configured_option_names)


def _autoscaling(deployment: Any) -> Any:
    return deployment._deployment_config.autoscaling_config


def _pin(deployment: Any, version: str) -> Any:
    return deployment.options(version=version, _internal=True)


def _instance_details() -> dict[str, Any]:
    try:
        client = _get_global_client(raise_if_no_controller_running=False)
        if client is None:
            return {"applications": {}}
        reply = client._controller.get_serve_instance_details.remote()
        return dict(ray.get(reply, timeout=CONTROLLER_TIMEOUT_S))
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"Serve's controller does not answer: {type(error).__name__}", "workbench doctor"
        ) from error


def http_port() -> int:
    """Port of the ingresses on the cluster that this process is attached to."""
    client = _get_global_client(raise_if_no_controller_running=False)
    return int(client.http_config.port) if client is not None else 8000


def enable_token() -> None:
    """Use Ray's token from now on, though Ray is imported already."""
    _enable_token_auth()


def _controller() -> Any:
    return _get_global_client()._controller


# --- end of private names -------------------------------------------------------------------------
# isort: on

import workbench.replica  # noqa: E402 - the marked block stands at the top
from workbench.core import targets  # noqa: E402
from workbench.core.graph import Graph, Node, kebab, need_of  # noqa: E402
from workbench.errors import ClusterError, PlanError  # noqa: E402
from workbench.replica import host  # noqa: E402
from workbench.replica import package as packages  # noqa: E402
from workbench.replica.package import Package  # noqa: E402

from . import cells  # noqa: E402

SHUTDOWN_WAIT_LOOP_S = 0.05  # Ray's 2 s would be slept through by every replica that is replaced
cloudpickle.register_pickle_by_value(workbench.replica)


def graph_of(target: Any, options: Mapping[str, Any]) -> Graph:
    """Find the deployments that a target consists of.

    Args:
        target: what the user wants to deploy; see `core.targets.KINDS`.
        options: options of `serve.deployment` for a target that is no Serve deployment yet.

    Returns:
        The graph, each deployment pickled.

    Raises:
        PlanError: the target is of no known kind, cannot be pickled, or calls itself.
    """
    application, kind = _application(target, options)
    return _Walk(target, kind).graph(application)


def target_name(target: Any) -> str:
    """The application name that a target suggests, in kebab case."""
    if isinstance(target, serve.Application):
        target = _bound(target)
    if isinstance(target, serve.Deployment):
        return kebab(target.name)
    return targets.suggested_name(target)


def _application(target: Any, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The target as a bound application, and the kind of its ingress."""
    if isinstance(target, serve.Application | serve.Deployment):
        if options:
            raise PlanError(
                f"{', '.join(options)}: options of a Serve deployment stand in its decorator",
                "write @serve.deployment(...) or MyDeployment.options(...).bind(...)",
            )
        bound = target if isinstance(target, serve.Application) else target.bind()
        return bound, _serve_kind(_bound(bound))
    kind = _kind(target)
    name = targets.python_name(target)
    try:
        deployment = serve.deployment(**options)(_Stand) if options else serve.deployment(_Stand)
    except (TypeError, ValueError) as error:
        raise PlanError(f"options {dict(options)}: {error}", "see ray.serve.deployment") from error
    return deployment.options(name=name).bind(), kind


class _Stand:
    """Carries the options of a target that is no Serve deployment."""


def _serve_kind(deployment: Any) -> str:
    target = deployment.func_or_class
    wrapped = inspect.isclass(target) and issubclass(target, ASGIAppReplicaWrapper)
    return packages.ASGI_CLASS if wrapped else packages.PLAIN


def _kind(target: Any) -> str:
    if targets.is_asgi(target):
        return packages.ASGI_APP
    if inspect.isclass(target) and issubclass(target, ASGIAppReplicaWrapper):
        return packages.ASGI_CLASS
    targets.check_deployable(target)
    targets.resolve_annotations(target)
    return packages.OBJECT


class _Walk:
    """One walk over a graph of bound applications, callees first."""

    def __init__(self, target: Any, ingress_kind: str) -> None:
        self._target, self._ingress_kind = target, ingress_kind
        self._nodes: dict[int, Node] = {}
        self._open: list[Any] = []

    def graph(self, application: Any) -> Graph:
        self._visit(application, self._ingress_kind)
        return Graph(tuple(self._nodes.values()))

    def _visit(self, application: Any, kind: str) -> Node:
        if id(application) in self._nodes:
            return self._nodes[id(application)]
        deployment = _bound(application)
        if any(application is each for each in self._open):
            raise PlanError(
                f"{deployment.name!r} is bound to itself", "break the circle of .bind()"
            )
        self._open.append(application)
        children = _children(deployment)
        called = [self._visit(each, _serve_kind(_bound(each))) for each in children]
        self._open.pop()
        node = self._node(deployment, kind, children, tuple(each.name for each in called))
        self._nodes[id(application)] = node
        return node

    def _node(
        self, deployment: Any, kind: str, children: list[Any], called: tuple[str, ...]
    ) -> Node:
        target, args, kwargs = self._parts(deployment)
        autoscaling = _autoscaling(deployment)
        return Node(
            name=self._unique(deployment.name),
            kind=kind,
            callable_name=targets.python_name(target),
            code=_pickled((target, args, kwargs), children, deployment.name),
            children=called,
            sources=cells.sources_of(target, *args, *kwargs.values()),
            replicas=_fewest(autoscaling) if autoscaling else deployment.num_replicas,
            autoscaling=autoscaling is not None,
            surges="max_surge_percent" not in _chosen(deployment),
            need=need_of(deployment.ray_actor_options or {}),
            deployment=deployment,
        )

    def _parts(self, deployment: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        if deployment.func_or_class is _Stand:
            return self._target, (), {}
        return deployment.func_or_class, *_arguments(deployment)

    def _unique(self, name: str) -> str:
        taken = {node.name for node in self._nodes.values()}
        candidates = [name, *(f"{name}_{n}" for n in range(1, len(taken) + 1))]
        return next(each for each in candidates if each not in taken)


def _fewest(autoscaling: Any) -> int:
    return int(max(autoscaling.min_replicas, autoscaling.initial_replicas or 0))


def _arguments(deployment: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(deployment.init_args or ()), dict(deployment.init_kwargs or {})


def _children(deployment: Any) -> list[Any]:
    found: list[Any] = []

    def collect(obj: Any) -> int | None:
        if not isinstance(obj, serve.Application):
            return None
        if not any(obj is each for each in found):
            found.append(obj)
        return 0

    _dumped(_arguments(deployment), collect, deployment.name)
    return found


def _pickled(parts: Any, children: list[Any], name: str) -> bytes:
    numbers = {id(child): number for number, child in enumerate(children)}
    return _dumped(parts, lambda obj: numbers.get(id(obj)), name)


def _dumped(parts: Any, number: Callable[[Any], int | None], name: str) -> bytes:
    try:
        return packages.dump(parts, number)
    except Exception as error:  # pickling runs code of the user's objects: anything may come
        raise PlanError(_unpicklable(parts, name, error), UNPICKLABLE_ADVICE) from error


UNPICKLABLE_ADVICE = (
    "make it in the constructor (or the lifespan) of the deployment, where the replica runs, "
    "or import it from a module"
)


def _unpicklable(parts: Any, name: str, error: Exception) -> str:
    for found in packages.culprits(parts[0], name):
        where = cells.line_using(parts[0], found)
        if where:
            return f"{name!r} cannot be sent to a replica: {found!r}, used in {where}: {error}"
    return f"{name!r} cannot be sent to a replica: {error}"


def application_of(graph: Graph, app: str, revision: int, version: str, surge: bool) -> Any:
    """Build the Serve application that runs a graph inside hosts.

    Args:
        graph: what to run.
        app: application name.
        revision: number of the revision.
        version: pinned version of every deployment; equal versions keep their processes.
        surge: new replicas start before old ones stop.

    Returns:
        A bound application for `run`.
    """
    built: dict[str, Any] = {}
    for node in graph.nodes:
        shipped = Package(
            app=app,
            deployment=node.name,
            revision=revision,
            kind=node.kind,
            code=node.code,
            sources=node.sources,
            folder=cells.folder(),
            import_paths=cells.import_paths(),
        )
        hosted = _hosted(node, surge)
        children = [built[name] for name in node.children]
        built[node.name] = _pin(hosted, version).bind(shipped, children)
    return built[graph.ingress.name]


def _hosted(node: Node, surge: bool) -> Any:
    base = host.IngressHost if node.kind != packages.PLAIN else host.CallableHost
    members = {"__module__": host.__name__, "__doc__": None}
    cls = type(node.callable_name, (base,), members)
    if node.kind == packages.PLAIN and _callable_uses_multiplexing(node.deployment.func_or_class):
        setattr(cls, MULTIPLEXED_FUNCTION_MARKER_ATTR, True)
    if base is host.IngressHost:
        cls = serve.ingress()(cls)
    ours: dict[str, float] = {"max_surge_percent": 100 if surge else 0} if node.surges else {}
    if "graceful_shutdown_wait_loop_s" not in _chosen(node.deployment):
        ours["graceful_shutdown_wait_loop_s"] = SHUTDOWN_WAIT_LOOP_S
    return node.deployment.options(func_or_class=cls, name=node.name, **ours)


def run(application: Any, app: str, route_prefix: str) -> None:
    """Hand an application to Serve and return at once.

    Raises:
        PlanError: Serve refuses it.
    """
    target = serve.RunTarget(target=application, name=app, route_prefix=route_prefix)
    try:
        serve.run_many(
            [target],
            wait_for_ingress_deployment_creation=False,
            wait_for_applications_running=False,
        )
    except (ValueError, TypeError, serve.exceptions.RayServeException) as error:
        raise PlanError(f"Serve refuses {app!r}: {error}") from error


def dumped(application: Any) -> bytes:
    """Pickle an application made by `application_of`, to run it again later."""
    return bytes(cloudpickle.dumps(application))


def loaded(blob: bytes) -> Any:
    """Undo `dumped`."""
    return cloudpickle.loads(blob)


def details() -> dict[str, dict[str, Any]]:
    """Everything that Serve says about each application, by name: its REST schema as a dict."""
    return dict(_instance_details()["applications"])


def delete(app: str) -> None:
    """Ask Serve to delete an application and return at once."""
    _controller().delete_apps.remote([app])
