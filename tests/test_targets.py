"""Every kind of target, on a real cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from ray import serve
from ray.serve._private.http_util import ASGIAppReplicaWrapper

import workbench

pytestmark = pytest.mark.ray
LIGHT: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}}


def plain_api() -> FastAPI:
    """A plain FastAPI app that uses what FastAPI has."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        app.state.seen = []
        yield {"greeting": "hello"}

    api = FastAPI(lifespan=lifespan)
    router = APIRouter(prefix="/routed")

    def greeting(request: Request) -> str:
        return str(request.state.greeting)

    @api.middleware("http")
    async def header(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-tested"] = "yes"
        return response

    @api.exception_handler(LookupError)
    async def missing(request: Request, error: LookupError) -> JSONResponse:
        return JSONResponse({"missing": str(error)}, status_code=410)

    @api.get("/")
    def root(greeting: str = Depends(greeting)) -> dict[str, str]:
        return {"greeting": greeting}

    @api.get("/missing")
    def lookup() -> None:
        raise LookupError("thing")

    @router.get("/item")
    def item() -> str:
        return "routed"

    @api.post("/later")
    def later(tasks: BackgroundTasks, request: Request) -> int:
        seen = request.app.state.seen
        tasks.add_task(seen.append, 1)
        return len(seen)

    @api.get("/ticks")
    def ticks() -> StreamingResponse:
        events = (f"data: {n}\n\n" for n in range(3))
        return StreamingResponse(events, media_type="text/event-stream")

    @api.websocket("/shout")
    async def shout(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    api.include_router(router)
    return api


def test_a_plain_fastapi_app_works_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lifespan, dependencies, middleware, handlers, routers, tasks, streams, sockets, files."""
    monkeypatch.chdir(tmp_path)
    Path("public").mkdir()
    Path("public/note.txt").write_text("a file")
    api = plain_api()
    api.mount("/static", StaticFiles(directory="public"))

    app = workbench.deploy(api, name=name, **LIGHT)

    assert app.get("/").json() == {"greeting": "hello"}
    assert app.get("/").headers["x-tested"] == "yes"
    assert app.get("/missing").status_code == 410
    assert app.get("/missing").json() == {"missing": "thing"}
    assert app.get("/routed/item").json() == "routed"
    assert [app.post("/later").json(), app.post("/later").json()] == [0, 1]
    assert list(app.stream("/ticks")) == ["0", "1", "2"]
    assert app.get("/static/note.txt").text == "a file"
    assert app.get("/docs").status_code == 200
    with app.websocket("/shout") as socket:
        socket.send("hey")
        assert socket.recv() == "HEY"


def test_a_lifespan_that_fails_is_a_failed_deploy(name: str) -> None:
    """With the lifespan's own traceback."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no weights here")
        yield

    with pytest.raises(workbench.DeployError, match="no weights here"):
        workbench.deploy(FastAPI(lifespan=lifespan), name=name, **LIGHT)


def test_a_function_gets_routes_from_its_signature(name: str) -> None:
    """JSON in, JSON out; scalars also by GET; wrong types are FastAPI's 422."""

    def scale(x: int, factor: float = 2.0) -> float:
        """Scale a number."""
        return x * factor

    app = workbench.deploy(scale, name=name, num_replicas=2, **LIGHT)

    assert app.post("/", json={"x": 4}).json() == 8.0
    assert app.get("/", params={"x": 4, "factor": 3}).json() == 12.0
    assert app.post("/", json={"x": "many"}).status_code == 422
    assert app.call.scale(x=5) == 10.0
    assert app.handle().remote(6).result() == 12.0
    assert app.status().deployments[0].replicas_running == 2


def test_a_function_that_takes_the_request_gets_it(name: str) -> None:
    """As in Ray Serve."""

    async def raw(request: Request) -> dict[str, object]:
        return {"method": request.method, "body": (await request.body()).decode()}

    app = workbench.deploy(raw, name=name, **LIGHT)

    assert app.put("/", content="hi").json() == {"method": "PUT", "body": "hi"}


def test_a_class_gets_a_route_per_method(name: str) -> None:
    """Its constructor runs in the replica."""

    class Counter:
        def __init__(self) -> None:
            self.pid, self.count = os.getpid(), 0

        def __call__(self, step: int = 1) -> int:
            self.count += step
            return self.count

        def where(self) -> int:
            return self.pid

        async def reset(self) -> None:
            self.count = 0

    app = workbench.deploy(Counter, name=name, **LIGHT)

    assert [app.post("/", json={}).json(), app.post("/", json={"step": 5}).json()] == [1, 6]
    assert app.call.where() != os.getpid()
    app.call.reset()
    assert app.handle().remote().result() == 1
    assert app.handle().where.remote().result() == app.call.where()


def test_a_torch_module_answers_lists(name: str) -> None:
    """Nested lists in and out, without gradients."""
    module = torch.nn.Linear(2, 1)
    expected = module(torch.tensor([[1.0, 2.0]])).tolist()

    app = workbench.deploy(module, name=name, **LIGHT)

    assert app.call.predict(inputs=[[1.0, 2.0]]) == expected


def test_a_pipeline_answers(name: str) -> None:
    """The inference API's convention: inputs and parameters."""
    from transformers import AutoModel, AutoTokenizer, pipeline

    folder = workbench.model_path("all-minilm-l6-v2")
    embed = pipeline(
        "feature-extraction",
        model=AutoModel.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )

    app = workbench.deploy(embed, name=name, **LIGHT)

    vectors = app.call.predict(inputs="one two")
    assert len(vectors[0][0]) == 384


def test_a_graph_calls_its_parts(name: str) -> None:
    """Deployments bound into each other, also inside lists, keep their own names and options."""

    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    class Add:
        def __init__(self, amount: int) -> None:
            self.amount = amount

        async def __call__(self, x: int) -> int:
            return x + self.amount

    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    class Chain:
        def __init__(self, parts: list[Any]) -> None:
            self.parts = parts

        async def __call__(self, request: Request) -> dict[str, int]:
            x = int(request.query_params["x"])
            for part in self.parts:
                x = await part.remote(x)
            return {"x": x}

    app = workbench.deploy(Chain.bind([Add.bind(1), Add.bind(10)]), name=name)

    assert app.get("/", params={"x": 5}).json() == {"x": 16}
    assert [d.name for d in app.status().deployments] == ["Chain", "Add_1", "Add"]
    assert app.handle("Add_1").remote(1).result() == 11


def test_a_cell_that_is_run_again_on_one_fastapi_object_serves_the_new_code(name: str) -> None:
    """Ray alone goes on serving the endpoint of the first run."""
    api = FastAPI()
    namespace: dict[str, Any] = {"api": api, "serve": serve}
    cell = (
        "@serve.deployment(ray_actor_options={{'num_cpus': 0.1}})\n"
        "@serve.ingress(api)\n"
        "class Service:\n"
        "    @api.get('/{route}')\n"
        "    def answer(self):\n"
        "        return '{word}'\n"
    )

    def run(number: int, route: str, word: str) -> Any:
        source = cell.format(route=route, word=word)
        exec(compile(source, f"<cell {number}>", "exec", dont_inherit=True), namespace)
        return workbench.deploy(namespace["Service"], name=name)

    assert run(1, "a", "first").get("/a").json() == "first"
    assert run(2, "a", "second").get("/a").json() == "second"
    moved = run(3, "b", "third")
    assert moved.get("/b").json() == "third"
    assert moved.get("/a").status_code == 404


def test_methods_of_every_kind_are_called_by_handle(name: str) -> None:
    """Sync, async, generators of both kinds, and batched ones keep Serve's semantics."""

    @serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=16)
    class Kinds:
        def plain(self, x: int) -> int:
            return x

        async def waiting(self, x: int) -> int:
            return x

        def counting(self, n: int) -> Any:
            yield from range(n)

        async def streaming(self, n: int) -> Any:
            for each in range(n):
                yield each

        @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.2)
        async def batched(self, xs: list[int]) -> list[int]:
            return [len(xs)] * len(xs)

    app = workbench.deploy(Kinds, name=name)
    handle = app.handle()

    assert handle.plain.remote(3).result() == 3
    assert handle.waiting.remote(3).result() == 3
    assert list(handle.options(stream=True).counting.remote(3)) == [0, 1, 2]
    assert list(handle.options(stream=True).streaming.remote(3)) == [0, 1, 2]
    responses = [handle.batched.remote(n) for n in range(4)]
    assert [response.result() for response in responses] == [4, 4, 4, 4]


class Built(ASGIAppReplicaWrapper):  # type: ignore[misc]  # ray ships no types for it
    """Makes its application in its constructor, as Serve's `GradioIngress` does."""

    def __init__(self, builder: Any) -> None:
        super().__init__(builder())


def test_a_class_whose_constructor_makes_the_application(name: str) -> None:
    """Serve's integrations are such classes: `serve.deployment(GradioIngress).bind(builder)`."""

    def builder() -> FastAPI:
        @contextlib.asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            app.state.built = 1
            yield

        api = FastAPI(lifespan=lifespan)
        api.get("/")(lambda: api.state.built)
        return api

    deployment = serve.deployment(**LIGHT)(Built).bind(builder)

    assert workbench.deploy(deployment, name=name).get("/").json() == 1
    assert workbench.plan(deployment, name=name).actions[0].kind == "keep"
