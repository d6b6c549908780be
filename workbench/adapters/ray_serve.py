"""Ray Serve: what the notebook's objects become on it, and what it says about them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
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
# Deployment._deployment_config, _replica_config: what changed between two deploys cannot be told;
#   the public properties show half of the options.
# Deployment.options(_init_args=, _init_kwargs=): a release would hold the user's arguments twice,
#   other deployments' classes among them; bind() makes an application, not a deployment.
# ASGIIngressWrapper.__init__'s variable frozen_app_or_func: the application could not be exchanged
#   while the object lives; the wrapper keeps it in its instance.
# ASGIAppReplicaWrapper: the mark of a class wrapped by @serve.ingress; there is no public one.
# _get_max_batch_size, _get_batch_wait_timeout_s: what a batched method declares cannot be told;
#   there are setters alone in public.
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


def bound(application: Any) -> Any:
    """The deployment behind a bound application."""
    return application._bound_deployment


def chosen(deployment: Any) -> set[str]:
    """Names of the options that the user set."""
    return set(deployment._deployment_config.user_configured_option_names)


def autoscaling(deployment: Any) -> Any:
    """The autoscaling options, or None."""
    return deployment._deployment_config.autoscaling_config


def fewest(deployment: Any) -> int:
    """Replicas that are wanted, or the smallest number to begin with when Serve adjusts it."""
    adjusts = autoscaling(deployment)
    if adjusts is None:
        return int(deployment.num_replicas)
    return int(max(adjusts.min_replicas, adjusts.initial_replicas or 0))


def options_of(deployment: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options that belong to the processes, and those that a running deployment takes."""
    replica = deployment._replica_config
    actor = {
        "ray_actor_options": replica.ray_actor_options,
        "placement_group_bundles": replica.placement_group_bundles,
        "placement_group_strategy": replica.placement_group_strategy,
        "max_replicas_per_node": replica.max_replicas_per_node,
    }
    more = ("placement_group_bundle_label_selector", "placement_group_fallback_strategy")
    actor |= {name: value for name in more if (value := getattr(replica, name)) is not None}
    light = dict(deployment._deployment_config.model_dump())
    actor |= {
        name: light.pop(name, None) for name in ("gang_scheduling_config", "deployment_actors")
    }
    for name in ("version", "user_configured_option_names", "deployment_language"):
        light.pop(name, None)
    if light["user_config"] is None:
        del light["user_config"]  # none at all: what an earlier one did cannot be undone in place
    return actor, light


def is_ingress_class(target: Any) -> bool:
    """Whether a class is wrapped by `@serve.ingress`."""
    return inspect.isclass(target) and issubclass(target, ASGIAppReplicaWrapper)


def ingress_parts(target: Any) -> tuple[type, Any]:
    """The user's own class inside one wrapped by `@serve.ingress`, and its application or None."""
    for cls in target.__mro__:
        constructor = vars(cls).get("__init__")
        written = inspect.isfunction(constructor)
        variables = inspect.getclosurevars(constructor).nonlocals if written else {}
        if FROZEN_APP in variables:
            return (cls.__bases__[0] if cls is target else target), variables[FROZEN_APP]
    return target, None


FROZEN_APP = "frozen_app_or_func"


def batching_of(target: Any) -> dict[str, tuple[int, float]]:
    """Size and wait in seconds of a function, or of each member of a class, that batches."""
    own = [("__call__", target)]
    members = inspect.getmembers_static(target) if inspect.isclass(target) else own
    return {
        name: (int(member._get_max_batch_size()), float(member._get_batch_wait_timeout_s()))
        for name, member in members
        if hasattr(member, "set_max_batch_size")
    }


def uses_multiplexing(target: Any) -> bool:
    """Whether a class has a method decorated by `@serve.multiplexed`."""
    return bool(_callable_uses_multiplexing(target))


def _pin(deployment: Any, version: str, **options: Any) -> Any:
    return deployment.options(version=version, _internal=True, **options)


def _unbound(deployment: Any, cls: type) -> Any:
    return deployment.options(func_or_class=cls, _init_args=(), _init_kwargs={})


def _ask_instance_details() -> Any:
    client = _get_global_client(raise_if_no_controller_running=False)
    return None if client is None else client._controller.get_serve_instance_details.remote()


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

import workbench.replica  # noqa: E402
from workbench.core.graph import Graph, Node  # noqa: E402
from workbench.core.knobs import IN_REPLICA  # noqa: E402
from workbench.errors import ClusterError, PlanError  # noqa: E402
from workbench.replica import host, stub  # noqa: E402
from workbench.replica import package as packages  # noqa: E402
from workbench.replica.package import Package  # noqa: E402

from . import cells  # noqa: E402

SHUTDOWN_WAIT_LOOP_S = 0.05  # Ray's 2 s would be slept through by every replica that is replaced
SHUTDOWN_TIMEOUT_S = 20.0  # Ray's default
SHORTEST_INGRESS_SHUTDOWN_S = 6.0  # on the fast path Serve raises what is less, and a mark with it
cloudpickle.register_pickle_by_value(workbench.replica)


def package_of(node: Node, app: str, revision: int, version: str) -> Package:
    """Pack a deployment's code for its replicas.

    Args:
        node: the deployment.
        app: application name.
        revision: number of the revision that the code belongs to.
        version: name of the generation of processes that is to run it.
    """
    return Package(
        app=app,
        deployment=node.name,
        revision=revision,
        kind=node.kind,
        code=node.code,
        version=version,
        digests=asdict(node.fingerprint),
        user_config=node.user_config,
        batching=node.batching,
        knobs={name: each.value for name, each in node.settings.items() if name in IN_REPLICA},
        gpus=node.need.gpus,
        sources=node.sources,
        folder=cells.folder(),
        import_paths=cells.import_paths(),
        key_digest=node.key_digest,
    )


def pickled(package: Package) -> bytes:
    """A package as bytes that a process without workbench can load; see `packages.unpickled`."""
    return bytes(cloudpickle.dumps(vars(package)))


def application_of(
    graph: Graph,
    shipped: Mapping[str, Package],
    stamps: Mapping[str, float],
    surge: bool,
    kept: Collection[str] = (),
) -> Any:
    """Build the Serve application that runs a graph inside hosts.

    Args:
        graph: what to run.
        shipped: package of each deployment; equal versions keep their processes.
        stamps: shutdown timeout of each deployment in seconds. Serve takes up new code for the
            replicas that it starts later only when some option differs; this one does, by
            microseconds, and shows in Serve's details that it was taken up.
        surge: new replicas start before old ones stop.
        kept: deployments that run and keep as many replicas as they have: Serve, told again, would
            go back to `initial_replicas`.

    Returns:
        A bound application for `run`.
    """
    built: dict[str, Any] = {}
    for node in graph.nodes:
        package = shipped[node.name]
        hosted = _hosted(node, surge, stamps[node.name], package.version, node.name in kept)
        children = [built[name] for name in node.children]
        built[node.name] = hosted.bind(_host(), pickled(package), children)
    return built[graph.ingress.name]


def stamp_of(node: Node, revision: int, ingress: bool) -> float:
    """The shutdown timeout in seconds that marks the options of a revision."""
    wanted_s = node.options.get("graceful_shutdown_timeout_s", SHUTDOWN_TIMEOUT_S)
    shortest_s = SHORTEST_INGRESS_SHUTDOWN_S if ingress else 0.0
    return float(round(max(wanted_s, shortest_s) + revision * 1e-6, 6))


def _hosted(node: Node, surge: bool, stamp: float, version: str, kept: bool) -> Any:
    ours: dict[str, Any] = {"max_surge_percent": 100 if surge else 0} if node.surges else {}
    if "graceful_shutdown_wait_loop_s" not in chosen(node.deployment):
        # An ingress on the fast path counts its queue itself, and is told of a new limit only
        # when an option like this one differs too: it does, by nanoseconds.
        queued = node.deployment.max_queued_requests
        ours["graceful_shutdown_wait_loop_s"] = SHUTDOWN_WAIT_LOOP_S + queued * 1e-9
    if "logging_config" not in chosen(node.deployment):
        ours["logging_config"] = {"enable_access_log": False}  # the replica remembers its requests
    adjusts = autoscaling(node.deployment)
    if kept and adjusts is not None:
        ours["autoscaling_config"] = adjusts.model_copy(update={"initial_replicas": None})
    ours |= {"graceful_shutdown_timeout_s": stamp, "user_config": None}
    cls = _stub(node.kind, node.callable_name, node.multiplexes)
    return _pin(node.deployment, version, func_or_class=cls, name=node.name, **ours)


@functools.lru_cache(maxsize=1)
def _host() -> bytes:
    """The class that does the work in a replica, by value."""
    return bytes(cloudpickle.dumps(host.Host))


@functools.lru_cache(maxsize=256)
def _stub(kind: str, name: str, multiplexes: bool) -> Any:
    base = stub.CallableStub if kind == packages.PLAIN else stub.IngressStub
    cls = type(name, (base,), {"__module__": stub.__name__, "__doc__": None})
    if kind == packages.PLAIN and multiplexes:
        setattr(cls, MULTIPLEXED_FUNCTION_MARKER_ATTR, True)
    return cls if kind == packages.PLAIN else serve.ingress()(cls)


class Absent:
    """Stands for the user's class, which `application_of` does not need: packages carry it."""


def bare(deployment: Any) -> Any:
    """The same options without the user's class and arguments: loading it runs none of theirs."""
    return _unbound(deployment, Absent)


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


def autoscaling_options(**options: Any) -> Any:
    """Serve's own value of the autoscaling options."""
    return serve.config.AutoscalingConfig(**options)


def dumped(application: Any) -> bytes:
    """Pickle an application made by `application_of`, to run it again later."""
    return bytes(cloudpickle.dumps(application))


def loaded(blob: bytes) -> Any:
    """Undo `dumped`."""
    return cloudpickle.loads(blob)


def details() -> dict[str, dict[str, Any]]:
    """Everything that Serve says about each application, by name: its REST schema as a dict."""
    return details_soon()()


def details_soon() -> Callable[[], dict[str, dict[str, Any]]]:
    """Ask for `details`, and go on: what is returned waits for the answer.

    Raises:
        ClusterError: the controller does not answer.
    """
    try:
        reply = _ask_instance_details()
    except ray.exceptions.RayError as error:
        raise _silent(error) from error
    return lambda: _answered(reply)


def _answered(reply: Any) -> dict[str, dict[str, Any]]:
    if reply is None:
        return {}
    try:
        return dict(ray.get(reply, timeout=CONTROLLER_TIMEOUT_S)["applications"])
    except ray.exceptions.RayError as error:
        raise _silent(error) from error


def _silent(error: Exception) -> ClusterError:
    said = f"Serve's controller does not answer: {type(error).__name__}"
    return ClusterError(said, "workbench doctor")


def delete(app: str) -> None:
    """Ask Serve to delete an application and return at once."""
    _controller().delete_apps.remote([app])
