"""Deploying, on a real cluster."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from ray import serve

import workbench

from .notebook import Load

pytestmark = pytest.mark.ray
LIGHT = {"num_cpus": 0.1}


def echo(answer: str, constructor: Callable[[], object] = dict) -> Any:
    """A FastAPI class that answers with one word."""
    api = FastAPI()

    @serve.deployment(ray_actor_options=LIGHT)
    @serve.ingress(api)
    class Echo:
        def __init__(self) -> None:
            constructor()

        @api.get("/answer")
        def answer(self) -> str:
            return answer

        @api.get("/fail")
        def fail(self) -> str:
            raise ValueError(f"failed on purpose: {answer}")

    return Echo


@pytest.mark.parametrize("mode", ["swap", "replace"])
def test_deploying_again_leaves_no_gap(name: str, mode: str) -> None:
    """No request fails, and none gets the old code once deploy() has returned."""
    app = workbench.deploy(echo("one").bind(), name=name)
    with Load(app) as load:
        workbench.deploy(echo("two").bind(), name=name, mode=mode)
        returned = time.monotonic()

    assert not load.failed
    assert {text for _, _, text in load.answers} == {"one", "two"}
    assert set(load.begun_after(returned)) == {"two"}


def test_a_constructor_that_raises_is_undone(name: str) -> None:
    """The error shows the replica's traceback; what served still serves; a retry works."""
    app = workbench.deploy(echo("one").bind(), name=name)

    with pytest.raises(workbench.DeployError, match="ZeroDivisionError") as caught:
        workbench.deploy(echo("two", lambda: 1 / 0).bind(), name=name)

    assert caught.value.serving == 1
    assert "test_deploy.py" in caught.value.reason
    assert "ray/serve" not in caught.value.reason
    assert app.get("/answer").json() == "one"
    assert app.status().revision == 1
    workbench.deploy(echo("three").bind(), name=name)
    assert app.get("/answer").json() == "three"


def test_a_first_deploy_that_fails_leaves_nothing(name: str) -> None:
    """Otherwise Serve would go on trying for ever."""
    with pytest.raises(workbench.DeployError, match="nothing of it serves"):
        workbench.deploy(echo("one", lambda: 1 / 0).bind(), name=name)

    assert name not in [each.name for each in workbench.apps()]


def test_a_constructor_that_hangs_is_undone_after_the_timeout(name: str) -> None:
    """The error says which deployment was waited for."""
    app = workbench.deploy(echo("one").bind(), name=name)

    with pytest.raises(workbench.DeployError, match="Echo has 0 of 1 replicas"):
        workbench.deploy(echo("two", lambda: time.sleep(60)).bind(), name=name, timeout_s=5)

    assert app.get("/answer").json() == "one"


def test_a_missing_package_is_named(name: str) -> None:
    """The advice is how to get it into the replica."""

    def constructor() -> None:
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")

    with pytest.raises(workbench.DeployError, match="No module named 'nowhere'"):
        workbench.deploy(echo("one", constructor).bind(), name=name)


def test_an_unpicklable_global_is_named(name: str) -> None:
    """With its type, before anything is changed."""
    generator = (n for n in range(3))

    def count() -> int:
        return next(generator)

    with pytest.raises(workbench.PlanError, match=r"'generator', used in .*test_deploy.py\", line"):
        workbench.deploy(count, name=name)

    assert name not in [each.name for each in workbench.apps()]


def test_deleting_takes_one_application_and_sends_nothing(name: str) -> None:
    """`workbench.delete()` removes it; `app.delete()` is the HTTP verb alone, as `app.get` is."""
    api = FastAPI()

    @api.delete("/items/{item}")
    def drop(item: int) -> int:
        return item

    app = workbench.deploy(api, name=name)

    assert app.delete("/items/4").json() == 4
    with pytest.raises(workbench.PlanError, match=rf"needs a path\n.*workbench.delete\('{name}'\)"):
        app.delete()
    with pytest.raises(workbench.PlanError, match=rf"did you mean '{name}'"):
        workbench.delete(f"{name}x")
    assert app.delete("/items/5").json() == 5
    workbench.delete(name)
    assert name not in [each.name for each in workbench.apps()]
    assert app.history()[-1].outcome == "deleted"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "no spaces"}, "no application name"),
        ({"route_prefix": "missing-slash"}, "no route prefix"),
        ({"timeout_s": 0}, "not positive"),
        ({"num_replica": 2}, "num_replica"),
    ],
)
def test_bad_arguments_are_refused(name: str, arguments: dict[str, Any], said: str) -> None:
    """Before anything is changed, with what to do."""

    def double(x: int) -> int:
        return 2 * x

    with pytest.raises(workbench.PlanError, match=said):
        workbench.deploy(double, **{"name": name, **arguments})


def test_what_cannot_be_deployed_is_refused(name: str) -> None:
    """With the kinds that can."""
    with pytest.raises(workbench.PlanError, match="a FastAPI app, a class, a function"):
        workbench.deploy(42, name=name)


def test_more_gpus_than_there_are_is_refused(name: str) -> None:
    """Ray would wait for ever; the arithmetic comes at once."""
    greedy = echo("one").options(ray_actor_options={"num_gpus": 3})

    with pytest.raises(workbench.CapacityError, match=r"needs 3 GPU per replica.* has 2"):
        workbench.deploy(greedy, name=name)


def test_a_share_above_one_gpu_is_refused(name: str) -> None:
    """Ray places shares of one GPU or whole ones."""
    with pytest.raises(workbench.PlanError, match=r"num_gpus=1\.5"):
        workbench.deploy(echo("one").options(ray_actor_options={"num_gpus": 1.5}), name=name)


def test_old_and_new_that_do_not_fit_together_need_downtime(name: str) -> None:
    """Both of 2 GPUs cannot be booked twice; allow_downtime stops the old one first."""
    large = {"num_gpus": 2, **LIGHT}
    app = workbench.deploy(echo("one").options(ray_actor_options=large), name=name)
    two = echo("two").options(ray_actor_options=large)

    with pytest.raises(workbench.CapacityError, match="allow_downtime=True"):
        workbench.deploy(two, name=name, mode="replace")
    assert app.get("/answer").json() == "one"
    workbench.deploy(two, name=name, mode="replace", allow_downtime=True)

    assert app.get("/answer").json() == "two"


def test_a_prefix_in_use_is_refused(name: str) -> None:
    """Naming the application that has it."""
    workbench.deploy(echo("one").bind(), name=name)

    with pytest.raises(workbench.PlanError, match=f"in use by application '{name}'"):
        workbench.deploy(echo("two").bind(), name="other", route_prefix=f"/{name}")


def test_an_application_of_others_is_left_alone(name: str) -> None:
    """What was deployed by plain Serve is not taken over by accident."""
    serve.run(echo("theirs").bind(), name=name, route_prefix=f"/{name}")

    with pytest.raises(workbench.PlanError, match="did not deploy"):
        workbench.deploy(echo("ours").bind(), name=name)

    assert workbench.connect(name).get("/answer").json() == "theirs"


def test_an_error_carries_the_replicas_traceback(name: str) -> None:
    """Fetched over Serve with the request's id; the HTTP answer itself shows no code."""
    app = workbench.deploy(echo("one").bind(), name=name)

    with pytest.raises(workbench.IngressError, match="failed on purpose: one") as caught:
        app.get("/fail")

    assert caught.value.body == "Internal Server Error"
    assert 'raise ValueError(f"failed on purpose' in caught.value.reason


def test_a_handle_works_where_an_event_loop_runs(name: str) -> None:
    """A notebook cell is such a place; Serve alone refuses to wait there."""

    def double(x: int) -> int:
        return 2 * x

    app = workbench.deploy(double, name=name, ray_actor_options=LIGHT)

    async def cell() -> list[int]:
        handle = app.handle()
        return [handle.remote(4).result(), await handle.remote(5)]

    assert asyncio.run(cell()) == [8, 10]
    with pytest.raises(workbench.PlanError, match="did you mean 'double'"):
        app.handle("doubel")


def test_logs_show_what_replicas_print(name: str) -> None:
    """print() in a replica is the first tool of every debugging."""

    def speak(word: str) -> str:
        print(f"heard {word}", flush=True)
        return word

    app = workbench.deploy(speak, name=name, ray_actor_options=LIGHT)
    app.post("/", json={"word": "hello"})
    until = time.monotonic() + 10
    while "heard hello" not in str(app.logs()) and time.monotonic() < until:
        time.sleep(0.2)

    assert "speak | heard hello" in app.logs()


def test_wait_false_returns_at_once(name: str) -> None:
    """The rollout goes on behind the cell."""
    app = workbench.deploy(echo("one", lambda: time.sleep(2)).bind(), name=name, wait=False)
    assert app.status().state == "DEPLOYING"
    until = time.monotonic() + 60
    while app.status().revision is None and time.monotonic() < until:
        time.sleep(0.1)

    assert app.get("/answer").json() == "one"


def test_a_plan_changes_nothing(name: str) -> None:
    """It says what would happen, and nothing happens."""
    plan = workbench.plan(echo("one").bind(), name=name)

    assert [(a.deployment, a.kind) for a in plan.actions] == [("Echo", "add")]
    assert name not in [each.name for each in workbench.apps()]


def test_a_notebook_finds_the_service_again(name: str) -> None:
    """Another process connects by name, as a restarted kernel does."""
    workbench.deploy(echo("one").bind(), name=name)

    code = f"import workbench; print(workbench.connect({name!r}).get('/answer').json())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.strip() == "one", done.stderr
    with pytest.raises(workbench.PlanError, match="did you mean"):
        workbench.connect(name[:-1])


@pytest.mark.parametrize("interpreter", ["python", "ipython"])
def test_deploy_works_outside_notebooks(name: str, interpreter: str) -> None:
    """From a plain script given with -c, and from an IPython shell."""
    code = f"""
import workbench
from fastapi import FastAPI
fastapi_app = FastAPI()
@fastapi_app.get("/")
def root(): return {{"hello": "world"}}
app = workbench.deploy(fastapi_app, name={name!r})
print("GOT", app.get("/").json())
"""
    command = [sys.executable, *(["-m", "IPython"] if interpreter == "ipython" else []), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)

    assert "GOT {'hello': 'world'}" in done.stdout, done.stderr
    assert "FastAPI: ready, 1/1 replicas" in done.stdout


def test_a_stranger_without_the_token_is_refused(tmp_path: Path) -> None:
    """Whoever reaches the port of the cluster runs code on it, so the token is asked for."""
    from workbench.adapters import state

    address = (state.read("cluster.json") or {})["address"]
    code = f"import ray; ray.init({address!r}); print('INSIDE', ray.cluster_resources())"
    (tmp_path / "token").write_text("0" * 64)
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "HOME": "/"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    assert done.returncode
    assert "INSIDE" not in done.stdout
    assert "AuthenticationError" in done.stderr or "authentication" in done.stderr.lower()
