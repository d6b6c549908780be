"""What we rely on in Ray, public and private: read this first when its version rises."""

from __future__ import annotations

import subprocess
import sys

import pytest
import ray
from fastapi import FastAPI
from ray import serve

import workbench.replica
from workbench.adapters import ray_serve
from workbench.core.graph import Graph


@serve.deployment(num_replicas=2)
class Child:
    def __call__(self) -> int:
        return 1


def test_the_pinned_version_runs() -> None:
    """The facts were measured on this version."""
    assert ray.__version__.startswith("2.60.")


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

    assert ray_serve._kind(Service) == "asgi_class"
    assert ray_serve._kind(FastAPI()) == "asgi_app"
    assert ray_serve._kind(len) == "object"


def test_multiplexing_is_recognised() -> None:
    """A hosted class must keep the mark, or requests are routed to any replica."""

    @serve.deployment
    class Many:
        @serve.multiplexed(max_num_models_per_replica=2)
        async def load(self, model_id: str) -> str:
            return model_id

    [node] = ray_serve.graph_of(Many.bind(), {}).nodes
    hosted = ray_serve._hosted(node, surge=True)

    assert ray_serve._callable_uses_multiplexing(hosted.func_or_class)


def test_options_of_the_user_win() -> None:
    """Our surge and shutdown wait are defaults, not orders."""
    mine = Child.options(graceful_shutdown_wait_loop_s=7)
    nodes = [*ray_serve.graph_of(mine, {}).nodes, *ray_serve.graph_of(Child, {}).nodes]
    first, second = (ray_serve._hosted(node, surge=True)._deployment_config for node in nodes)

    assert first.graceful_shutdown_wait_loop_s == 7
    assert second.graceful_shutdown_wait_loop_s == ray_serve.SHUTDOWN_WAIT_LOOP_S
    assert (first.max_surge_percent, first.num_replicas) == (100, 2)


def test_replicas_need_no_workbench() -> None:
    """What is shipped can be unpickled where the package is not installed."""
    graph = Graph(ray_serve.graph_of(Child.options(name="c"), {}).nodes)
    blob = ray_serve.dumped(ray_serve.application_of(graph, "a", 1, "v1", surge=True))
    code = (
        "import sys; sys.modules['workbench'] = None\n"
        "from ray import cloudpickle\n"
        "app = cloudpickle.loads(sys.stdin.buffer.read())\n"
        "print(app._bound_deployment.func_or_class.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=blob, capture_output=True)

    assert done.stdout.decode().strip() == "Child", done.stderr.decode()[-2000:]
    assert workbench.replica.__name__.encode() in blob  # its names, not its import


@pytest.mark.parametrize("name", ["RunTarget", "run_many", "get_deployment_handle", "ingress"])
def test_public_names_are_there(name: str) -> None:
    """Developer names that Ray may move."""
    assert hasattr(serve, name)
