"""What we rely on in Ray, public and private: read this first when its version rises."""

from __future__ import annotations

import asyncio
import concurrent
import concurrent.futures
import email.message
import email.mime.base
import enum
import inspect
import io
import subprocess
import sys
from collections.abc import AsyncIterator
from types import ModuleType

import pytest
import ray
from fastapi import FastAPI
from ray import serve
from ray._common import signature
from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray._private import services
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray.cloudpickle import cloudpickle
from ray.experimental import internal_kv
from ray.serve import batching
from ray.serve._private import (
    autoscaling_state,
    constants,
    http_util,
    logging_utils,
    long_poll,
    metrics_utils,
    router,
)
from ray.serve._private import replica as serves
from ray.serve.config import AutoscalingConfig, DeploymentActorConfig
from ray.serve.handle import DeploymentHandle

import workbench.replica
from workbench.adapters import (
    ray_graph,
    ray_head,
    ray_pickles,
    ray_remote,
    ray_serve,
    ray_workers,
)
from workbench.core.fingerprint import MULTIPLEXED
from workbench.core.graph import Graph
from workbench.replica import access, batches, context, identity, ids, live
from workbench.replica import package as packages
from workbench.replica.figures import Figures


@serve.deployment(num_replicas=2)
class Child:
    def __call__(self) -> int:
        return 1


def test_the_pinned_version_runs() -> None:
    """The facts were measured on this version."""
    assert ray.__version__.startswith("2.60.")


def test_a_head_is_started_by_its_node() -> None:
    """What `ray start` starts, the client server apart, which none asked for."""
    fields = inspect.signature(RayParams).parameters
    source = inspect.getsource(Node.start_head_processes)

    asked = ("gcs_server_port", "metrics_agent_port", "include_log_monitor", "no_monitor")
    assert set(asked) < set(fields)
    assert fields["ray_client_server_port"].default is None
    assert "if self._ray_params.ray_client_server_port:" in source
    assert "ray._private.services.get_node(" in inspect.getsource(Node.__init__)
    assert ray_head.DASHBOARD in inspect.getsource(services.start_api_server)


def test_a_head_gives_its_agent_the_address_at_which_it_serves_metrics() -> None:
    """The raylet starts the agent with this argument, and the agent's address decides."""
    source = inspect.getsource(services.start_raylet)

    assert 'f"--node-ip-address={node_ip_address}"' in source
    assert "start_ray_process(" in source
    assert ray_head.AGENT in source
    asked = f"{ray_head.AGENT}python agent.py --node-ip-address=10.0.0.7 --grpc-port=1"
    assert ray_head._on_loopback(asked) == asked.replace("10.0.0.7", "127.0.0.1")
    assert ray_head._on_loopback("--node-ip-address=10.0.0.7") == "--node-ip-address=10.0.0.7"


def test_a_replica_can_be_given_another_way_from_http_to_its_code() -> None:
    """What `replica.direct` stands on: Serve looks these up when its server starts, or later."""
    starts = inspect.getsource(serves.Replica._maybe_start_direct_ingress_servers)
    assert "start_asgi_http_server(\n                    self._direct_ingress_asgi," in starts

    way = inspect.getsource(serves.Replica._direct_ingress_asgi)
    for used in (
        "self._wrap_request(request_metadata) as status_code_callback",
        "self._track_queued_request() as release_queue_slot",
        "async with self._start_request(request_metadata):",
        "self._determine_http_route(scope)",
        "send_http_response(msg, 499, send)",
    ):
        assert used in way
    assert "user_exception is not None and not request_metadata.is_direct_ingress" in (
        inspect.getsource(serves.Replica._handle_errors_and_metrics)
    )


def test_a_request_is_logged_by_the_modules_own_logger_and_with_a_mark() -> None:
    """What `replica.access` stands on, and that Serve drops such records where it writes none."""
    assert "logger.info(" in inspect.getsource(serves.Replica._record_errors_and_metrics)
    assert "extra=self._access_log_context" in (
        inspect.getsource(serves.Replica._record_errors_and_metrics)
    )
    configured = inspect.getsource(serves.Replica._configure_logger_and_profilers)
    assert configured.count("self._access_log_context = {") == 2
    assert configured.count(f'"{access.MARK}": True') == 2
    assert "memory_handler.addFilter(log_access_log_filter)" in (
        inspect.getsource(logging_utils.configure_component_logger)
    )


def test_serve_asks_for_a_batched_functions_signature_at_each_request() -> None:
    """It is given one that was made before."""
    assert "extract_signature(_func)" in inspect.getsource(batching.batch)

    @serve.batch
    async def run(texts: list[str]) -> list[str]:
        return texts

    batches.counted(run, Figures())
    function = run.__wrapped__

    assert signature.get_signature(function) is function.__signature__
    assert list(function.__signature__.parameters) == ["texts"]


@pytest.mark.parametrize("package", [asyncio, concurrent, email, ray])
def test_submodules_are_found_as_cloudpickle_finds_them(package: ModuleType) -> None:
    """By an index, where cloudpickle looks at all modules."""
    code = compile(
        "futures.thread, message, mime, base, tasks, serve, handle, _private", "x", "exec"
    )
    usual = cloudpickle._find_imported_submodules(code, [package, 7, package])
    with ray_pickles.modules_indexed():
        ours = cloudpickle._find_imported_submodules(code, [package, 7, package])

    assert usual == ours != []
    assert cloudpickle._find_imported_submodules.__module__ == cloudpickle.__name__


def test_a_bound_application_gives_its_deployment() -> None:
    """`Application._bound_deployment`, with the arguments it was bound with."""
    inner = Child.bind()
    outer = Child.bind(inner, k=3)

    assert outer._bound_deployment.init_args == (inner,)
    assert outer._bound_deployment.init_kwargs == {"k": 3}


def test_chosen_options_are_told_from_defaults() -> None:
    """`user_configured_option_names` holds what the user wrote."""
    chosen = Child._deployment_config.user_configured_option_names

    assert "num_replicas" in chosen
    assert "max_surge_percent" not in chosen


def test_a_version_can_be_pinned() -> None:
    """`options(version=, _internal=True)`, which survives bind()."""
    pinned = Child.options(version="v7", _internal=True).bind()

    assert pinned._bound_deployment._version == "v7"


def test_an_ingress_class_is_recognised() -> None:
    """`@serve.ingress` leaves its mark on the class."""

    @serve.ingress(FastAPI())
    class Service:
        pass

    assert ray_graph._kind(Service) == "asgi_class"
    assert ray_graph._kind(FastAPI()) == "asgi_app"
    assert ray_graph._kind(len) == "object"


def test_an_ingress_class_gives_its_parts() -> None:
    """The user's class is the wrapper's first base, the application a variable of its closure."""

    class Plain:
        def __serve_build_asgi_app__(self) -> FastAPI:
            return FastAPI()

    wrapped = serve.ingress(FastAPI(title="mine"))(Plain)
    cls, app = ray_serve.ingress_parts(wrapped)

    assert cls is Plain
    assert app.title == "mine"
    assert ray_serve.ingress_parts(serve.ingress()(Plain)) == (Plain, None)


def test_batched_methods_tell_their_values() -> None:
    """`_get_max_batch_size` and `_get_batch_wait_timeout_s`, which have no public twins."""

    class Batched:
        @serve.batch(max_batch_size=7, batch_wait_timeout_s=0.25)
        async def run(self, xs: list[int]) -> list[int]:
            return xs

    assert live._batching(Batched.run) == (7, 0.25)


class Streaming:
    @serve.batch(max_batch_size=7)
    async def run(self, xs: list[int]) -> list[int]:
        return [x * len(xs) for x in xs]

    @serve.batch(max_batch_size=7)
    async def stream(self, xs: list[int]) -> AsyncIterator[list[int]]:
        for n in range(3):
            yield [x * n for x in xs]


def test_a_batched_method_leads_to_its_queue() -> None:
    """`set_max_batch_size.__self__`, its `handle_batch_func` and `_queue`: where batches run."""
    queue = Streaming.run.set_max_batch_size.__self__

    assert queue.handle_batch_func is Streaming.run.__wrapped__
    assert queue._queue is None


def test_counted_batches_look_as_before() -> None:
    """What Serve, Python and our fingerprints ask of a batched method has the same answer."""

    class Mine(Streaming):
        run, stream = Streaming.run, Streaming.stream

    before = {name: vars(Mine)[name] for name in ("run", "stream")}
    batches.counted(Mine, Figures())

    for name, plain in before.items():
        found = vars(Mine)[name]
        assert found is not plain
        for asks in (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.signature):
            assert asks(found) == asks(plain)
        assert inspect.unwrap(found) is inspect.unwrap(plain)
        queue, function = found.set_max_batch_size.__self__, inspect.unwrap(plain)
        for asks in (inspect.isasyncgenfunction, inspect.signature):
            assert asks(queue.handle_batch_func) == asks(function)
        assert queue.handle_batch_func.__name__ == name
    counted_once = Streaming.run.set_max_batch_size.__self__.handle_batch_func
    assert counted_once.__wrapped__ is inspect.unwrap(before["run"])
    assert batches.counted(Mine, Figures()).run is Mine.run


@pytest.mark.parametrize("streams", [False, True], ids=["call", "stream"])
def test_a_batch_that_cannot_begin_takes_up_what_comes(
    monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    """Requests one after the other, while the first batch runs: one full batch, and the rest."""
    warned = "_warn_if_max_batch_size_exceeds_max_ongoing_requests"
    monkeypatch.setattr(batching._BatchQueue, warned, lambda queue: None)  # it asks a replica
    sizes, go = [], asyncio.Event()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def run(xs: list[int]) -> list[int]:
        sizes.append(len(xs))
        await go.wait()
        return xs

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def stream(xs: list[int]) -> AsyncIterator[list[int]]:
        sizes.append(len(xs))
        await go.wait()
        yield xs

    counted = batches.counted(stream if streams else run, Figures())

    async def ask(x: int) -> list[int]:
        return [item async for item in counted(x)] if streams else [await counted(x)]

    async def all_of_them() -> list[list[int]]:
        asked = [asyncio.create_task(ask(0))]
        while not sizes:  # until the first batch has begun, without the others
            await asyncio.sleep(0.001)
        for x in range(1, 11):
            asked.append(asyncio.create_task(ask(x)))
            await asyncio.sleep(0.02)
        go.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(all_of_them()) == [[x] for x in range(11)]
    assert sizes == [1, 8, 2]


def test_a_queue_that_runs_is_left_alone() -> None:
    """After its first call Serve holds the function itself; half of the figures would be wrong."""

    @serve.batch
    async def run(xs: list[int]) -> list[int]:
        return xs

    run.set_max_batch_size.__self__._queue = object()  # type: ignore[attr-defined]

    assert batches.counted(run, Figures()) is run
    assert batches.counted(len, Figures()) is len


def test_classes_are_named_where_we_expect_it() -> None:
    """Cloudpickle's makers of classes take the tracker's id as their fifth and sixth argument."""

    class Plain:
        pass

    class Choice(enum.Enum):
        ONE = 1

    for cls in (Plain, Choice):
        blob = packages.dump((cls, None, (), {}), lambda o: None, class_id=lambda c: ("n", "d"))
        known: dict[str, type] = {}
        named: dict[str, type] = {}
        first = packages.load(blob, [], known, named)[0]
        assert known == {"d": first}
        assert named == {"n": first}
        first.seen = True
        assert packages.load(blob, [], known)[0].seen


def test_multiplexing_is_recognised() -> None:
    """A hosted class must keep the mark, or requests are routed to any replica."""

    @serve.deployment
    class Many:
        @serve.multiplexed(max_num_models_per_replica=2)
        async def load(self, model_id: str) -> str:
            return model_id

    [node] = ray_graph.graph_of(Many.bind(), {}).nodes
    hosted = ray_serve._hosted(node, surge=True, stamp=20.0, version="v", kept=False)

    assert MULTIPLEXED == ray_serve.MULTIPLEXED_FUNCTION_MARKER_ATTR
    assert "`load`" in node.fingerprint.state  # Serve keeps the loader in the object

    assert ray_serve._callable_uses_multiplexing(hosted.func_or_class)


def test_options_of_the_user_win() -> None:
    """Our surge and shutdown wait are defaults, not orders."""
    mine = Child.options(graceful_shutdown_wait_loop_s=7)
    nodes = [*ray_graph.graph_of(mine, {}).nodes, *ray_graph.graph_of(Child, {}).nodes]
    hosted = [
        ray_serve._hosted(node, surge=True, stamp=20.0, version="v", kept=False) for node in nodes
    ]
    first, second = (each._deployment_config for each in hosted)

    assert first.graceful_shutdown_wait_loop_s == 7
    assert second.graceful_shutdown_wait_loop_s == pytest.approx(ray_serve.SHUTDOWN_WAIT_LOOP_S)
    assert (first.max_surge_percent, first.num_replicas) == (100, 2)


def test_replicas_need_no_workbench() -> None:
    """What is shipped can be unpickled where the package is not installed."""
    graph = Graph(ray_graph.graph_of(Child.options(name="c"), {}).nodes)
    shipped = {"c": ray_serve.package_of(graph.nodes[0], "a", 1, "v1")}
    blob = ray_serve.dumped(ray_serve.application_of(graph, shipped, {"c": 20.0}, surge=True))
    code = (
        "import sys; sys.modules['workbench'] = None\n"
        "from ray import cloudpickle\n"
        "app = cloudpickle.loads(sys.stdin.buffer.read())\n"
        "print(app._bound_deployment.func_or_class.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=blob, capture_output=True)

    assert done.stdout.decode().strip() == "Child", done.stderr.decode()[-2000:]
    assert workbench.replica.__name__.encode() in blob  # its names, not its import


def test_a_handle_is_told_which_way_its_calls_take() -> None:
    """It is pickled with the default of the process that made it."""
    handle = DeploymentHandle("name", "app")

    assert constants.RAY_SERVE_USE_GRPC_BY_DEFAULT is False
    assert cloudpickle.loads(cloudpickle.dumps(handle)).handle_options._by_reference
    assert "_by_reference" in inspect.signature(handle.options).parameters


def test_the_head_has_a_resource_of_its_own() -> None:
    """The store stays on the node that is there as long as the cluster."""
    assert ray_workers.HEAD_NODE == HEAD_NODE_RESOURCE_NAME


@pytest.mark.parametrize("name", ["RunTarget", "run_many", "get_deployment_handle", "ingress"])
def test_public_names_are_there(name: str) -> None:
    """Developer names that Ray may move."""
    assert hasattr(serve, name)


def test_what_ray_remote_made_shows_its_content() -> None:
    """Each run of a cell gives it a new id, which says nothing about the code."""

    @ray.remote(num_cpus=0.5)
    def task() -> int:
        return 1

    @ray.remote
    class Actor:
        pass

    assert ray_remote.content_of(task)[1]() == 1
    assert ray_remote.content_of(task)[2]["num_cpus"] == 0.5
    assert ray_remote.content_of(Actor)[1].__name__ == "Actor"
    assert ray_remote.content_of(3) == 3


def test_functions_and_classes_are_made_in_two_steps() -> None:
    """What refers to itself by a global can be pickled only so; see `replica/pickles.py`."""
    for name, parameters in (
        ("_make_function", ["code", "globals", "name", "argdefs", "closure"]),
        ("_function_setstate", ["obj", "state"]),
        ("_function_getstate", ["func"]),
        ("_lookup_class_or_track", ["class_tracker_id", "class_def"]),
        ("_class_setstate", ["obj", "state"]),
    ):
        found = getattr(cloudpickle, name)
        assert list(inspect.signature(found).parameters) == parameters

    pieces = cloudpickle.Pickler(io.BytesIO())._function_getnewargs(lambda: 1)
    assert cloudpickle._make_function(*pieces)() == 1
    assert not cloudpickle._should_pickle_by_reference(lambda: 1)


def test_pickles_know_classes_by_the_name_that_we_give() -> None:
    """What travels through a handle is an instance of the class that runs where it arrives."""

    class Here:
        count = 1

    class There:
        count = 2

    blob = cloudpickle.dumps(Here())
    identity.use({"workbench-test": Here})
    known = cloudpickle.dumps(Here())
    identity.use({"workbench-test": There})

    assert type(cloudpickle.loads(known)) is There
    assert There.count == 2  # a pickle changes no class that is there
    assert type(cloudpickle.loads(blob)) is not There
    assert "_class_setstate" in cloudpickle._dynamic_class_reduce.__code__.co_names


def test_serve_shows_what_it_holds_as_servable_object() -> None:
    """Its wrapper's property is read when a replica starts and each time it is reconfigured."""
    wrapper = serves.UserCallableWrapper
    shows = inspect.getsource(serves.Replica._on_initialized)
    told = inspect.getsource(serves.Replica.reconfigure)

    assert isinstance(wrapper.user_callable, property)
    assert "servable_object=self._user_callable_wrapper.user_callable" in shows
    assert "servable_object=self._user_callable_wrapper.user_callable" in told
    assert "servable_object" in serve.context.ReplicaContext.__annotations__
    ends = inspect.getsource(wrapper.call_destructor)
    assert "await self._call_func_or_gen(\n                    self._callable.__del__" in ends
    assert context.MULTIPLEX_WRAPPER in ends


def test_serve_tells_the_rank_to_whoever_takes_it() -> None:
    """A `reconfigure` with a parameter `rank` is called without a configuration too."""
    source = inspect.getsource(serves.UserCallableWrapper.call_reconfigure)

    assert 'user_subscribed_to_rank = "rank" in params' in source
    assert "if user_config is not None or user_subscribed_to_rank:" in source


def test_what_handles_do_by_themselves_can_be_ended() -> None:
    """Else they would start a Ray of their own once the kernel is detached."""
    assert isinstance(router.SingletonThreadRouter._asyncio_loop, asyncio.AbstractEventLoop | None)
    assert hasattr(router.SharedRouterLongPollClient.get_or_create, "cache_clear")
    assert "if not self.is_running:" in inspect.getsource(long_poll.LongPollClient._poll_next)
    assert "create_task" in inspect.getsource(metrics_utils.MetricsPusher.register_or_update_task)


def test_options_hold_code_that_can_be_looked_at() -> None:
    """Serve compares its name alone; ours compares what the name stands for."""
    config = Child._deployment_config
    policy = AutoscalingConfig().policy

    assert policy.is_default_policy_function()
    assert callable(policy.get_policy())
    assert config.request_router_config.is_default_request_router()
    assert inspect.isclass(config.request_router_config.get_request_router_class())
    assert callable(DeploymentActorConfig.get_actor_class)
    taken = inspect.getsource(autoscaling_state.DeploymentAutoscalingState.register)
    assert "self._policy = _apply_autoscaling_config(" in taken  # at once, in place
    assert "config.initial_replicas is not None" in taken


def test_pickles_of_classes_name_what_fills_them() -> None:
    """A replica without workbench finds it by its name; by value it would fill nothing."""
    code = """
from ray import serve
from workbench.adapters import ray_graph
@serve.deployment
class Echo:
    def __call__(self, x):
        return x
[node] = ray_graph.graph_of(Echo.bind(), {}).nodes
assert b"teach_cloudpickle" not in node.code, "the first pickle of a process"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_serve_s_middleware_of_ids_is_looked_up_when_a_server_starts() -> None:
    """`ids.install` exchanges it before the replica's server starts."""
    names = http_util._apply_middlewares.__code__.co_names
    around = ids.middlewares()[0]

    assert "RequestIdMiddleware" in names
    assert ids.SERVES.decode() == constants.SERVE_HTTP_REQUEST_ID_HEADER
    assert http_util.validate_http_proxy_callback_return([around]) == [around]
    assert constants.RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH in (None, ids.CALLBACK)
    assert ids.SETTING in inspect.getsource(constants)


def test_the_control_store_keeps_what_is_put_there() -> None:
    """Releases lie there: an actor that is restarted reads what the one before it wrote."""
    parameters = {
        function.__name__: list(inspect.signature(function).parameters)
        for function in (
            internal_kv._internal_kv_get,
            internal_kv._internal_kv_put,
            internal_kv._internal_kv_del,
            internal_kv._internal_kv_initialized,
        )
    }

    assert parameters == {
        "_internal_kv_get": ["key", "namespace"],
        "_internal_kv_put": ["key", "value", "overwrite", "namespace"],
        "_internal_kv_del": ["key", "del_by_prefix", "namespace"],
        "_internal_kv_initialized": [],
    }


def test_a_deployment_can_be_kept_without_class_and_arguments() -> None:
    """A release has both in its packages already; its options stay as they were chosen."""
    bare = ray_serve.bare(ray_serve.bound(Child.options(user_config={"a": 1}).bind()))

    assert (bare.func_or_class, bare.init_args, bare.init_kwargs) == (ray_serve.Absent, (), {})
    assert (bare.name, bare.num_replicas, bare.user_config) == ("Child", 2, {"a": 1})
    assert ray_serve.chosen(bare) >= {"num_replicas", "user_config"}
