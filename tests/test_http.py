"""Querying an ingress, against a real server on loopback."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Form, UploadFile, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from workbench.adapters.http import Ingress
from workbench.adapters.processes import free_ports
from workbench.errors import IngressError, PlanError


class Question(BaseModel):
    query: str
    k: int = 5


def service() -> FastAPI:
    """An API with one of everything."""
    api = FastAPI()

    @api.post("/chat")
    def chat(question: Question) -> dict[str, object]:
        """Answer a question."""
        return {"answer": question.query.upper(), "k": question.k}

    @api.get("/items/{item_id}")
    def item(item_id: int, verbose: bool = False) -> dict[str, object]:
        return {"item": item_id, "verbose": verbose}

    @api.put("/items/{item_id}", name="item")
    def put_item(item_id: int, question: Question) -> dict[str, object]:
        return {"item": item_id, "query": question.query}

    @api.post("/form")
    def form(user: str = Form(), age: int = Form(3)) -> dict[str, object]:
        return {"user": user, "age": age}

    @api.post("/upload")
    async def upload(file: UploadFile) -> dict[str, int]:
        return {"size": len(await file.read())}

    @api.get("/fail")
    def fail() -> None:
        raise ValueError("broken")

    async def ticks(broken: bool) -> object:
        for number in range(3):
            yield f"data: {json.dumps(number)}\n\n"
            await asyncio.sleep(0)
        if broken:
            raise ValueError("broken")

    @api.post("/events")
    def events(broken: bool = False) -> StreamingResponse:
        return StreamingResponse(ticks(broken), media_type="text/event-stream")

    @api.get("/lines")
    def lines() -> StreamingResponse:
        return StreamingResponse(iter(['{"n": 1}\n', '{"n": 2}\n']), media_type="application/jsonl")

    @api.get("/text")
    def text() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), media_type="text/plain")

    @api.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text((await socket.receive_text()).upper())
        await socket.close()

    return api


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The API on a free port."""
    [port] = free_ports(1)
    app = FastAPI()
    app.mount("/api", service())
    running = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/api"
    running.should_exit = True
    thread.join()


@pytest.fixture
def ingress(server: str) -> Iterator[Ingress]:
    """A client that knows a traceback for every request."""
    client = Ingress(server, traceback_of=lambda request_id: f"Traceback of {len(request_id)}")
    yield client
    client.close()


@pytest.mark.parametrize("path", ["/chat", "chat"])
def test_paths_are_below_the_route_prefix(ingress: Ingress, path: str) -> None:
    """With and without the leading slash."""
    assert ingress.post(path, json={"query": "hi"}).json() == {"answer": "HI", "k": 5}


def test_a_client_error_is_an_answer(ingress: Ingress) -> None:
    """Whoever sends the request looks at the status of a 4xx."""
    assert ingress.get("/nowhere").status_code == 404


def test_a_server_error_carries_the_replicas_traceback(ingress: Ingress) -> None:
    """The traceback is asked for with the id that the request was sent with."""
    with pytest.raises(IngressError, match="Traceback of 32") as caught:
        ingress.get("/fail")

    assert (caught.value.status, caught.value.body) == (500, "Internal Server Error")


def test_nothing_there_is_said_with_advice() -> None:
    """A refused connection names the address and what to look at."""
    [port] = free_ports(1)

    with pytest.raises(IngressError, match=r"workbench\.apps") as caught:
        Ingress(f"http://127.0.0.1:{port}").get("/")

    assert str(port) in str(caught.value)


def test_server_sent_events_are_iterated(ingress: Ingress) -> None:
    """Each event's data, without the framing."""
    assert list(ingress.stream("/events", method="POST")) == ["0", "1", "2"]
    assert [e.data for e in ingress.stream("/events", method="POST").events()] == ["0", "1", "2"]


def test_lines_and_text_are_iterated(ingress: Ingress) -> None:
    """JSON lines give objects, text gives pieces."""
    assert list(ingress.stream("/lines")) == [{"n": 1}, {"n": 2}]
    assert "".join(ingress.stream("/text")) == "ab"


def test_a_stream_that_breaks_says_why(ingress: Ingress) -> None:
    """What came before the break is given; then the replica's traceback."""
    stream = ingress.stream("/events", params={"broken": True}, method="POST")

    with pytest.raises(IngressError, match="Traceback of"):
        list(stream)


def test_a_stream_that_is_refused_raises_at_once(ingress: Ingress) -> None:
    """Not at the first item."""
    with pytest.raises(IngressError) as caught:
        ingress.stream("/nowhere")

    assert caught.value.status == 404


def test_a_refused_call_says_which_field(ingress: Ingress) -> None:
    """FastAPI's own checks are shown readably where ours let something pass."""
    with pytest.raises(IngressError, match=r"body\.query: Field required") as caught:
        ingress.stream("/chat", json={})

    assert caught.value.status == 422


def test_websockets(ingress: Ingress) -> None:
    """A websocket is opened under the same prefix."""
    with ingress.websocket("/echo") as socket:
        socket.send("hello")

        assert socket.recv() == "HELLO"


def test_a_closed_stream_frees_its_connection(ingress: Ingress) -> None:
    """Leaving early is no error."""
    with ingress.stream("/events", method="POST") as stream:
        next(stream)

    assert ingress.get("/items/1").status_code == 200


def test_operations_have_signatures(ingress: Ingress) -> None:
    """Completion and help work as for any function."""
    assert str(inspect.signature(ingress.call.chat)) == "(*, query: str, k: int = 5)"
    assert "Answer a question." in ingress.call.chat.__doc__
    assert {"chat", "item_get", "item_put", "form", "upload"} <= set(dir(ingress.call))
    assert "POST /chat" in repr(ingress.call)


def test_operations_are_called(ingress: Ingress) -> None:
    """Path, query, body, form and file arguments go where they belong."""
    assert ingress.call.chat(query="x", k=2) == {"answer": "X", "k": 2}
    assert ingress.call.item_get(item_id=4, verbose=True) == {"item": 4, "verbose": True}
    assert ingress.call.item_put(item_id=4, query="q") == {"item": 4, "query": "q"}
    assert ingress.call.form(user="ann") == {"user": "ann", "age": 3}
    assert ingress.call.upload(file=b"12345") == {"size": 5}
    assert list(ingress.call.events()) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "query must be given"),
        ({"query": 3}, "query=3: 3 is not of type 'string'"),
        ({"quary": "x"}, "did you mean 'query'"),
    ],
)
def test_wrong_arguments_are_refused_before_sending(
    server: str, arguments: dict[str, object], said: str
) -> None:
    """The message names the argument, the value and the signature."""
    ingress = Ingress(server)
    ingress.call.chat(query="warm")
    ingress.client.close()

    with pytest.raises(PlanError, match=said) as caught:
        ingress.call.chat(**arguments)

    assert "chat(*, query: str, k: int = 5)" in caught.value.advice


def test_an_unknown_operation_names_the_nearest(ingress: Ingress) -> None:
    """A typo is answered with what there is."""
    with pytest.raises(AttributeError, match="did you mean 'chat'"):
        ingress.call.chta()
