"""Querying an ingress, against a real server on loopback."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy
import pytest
import uvicorn
from fastapi import (
    APIRouter,
    Cookie,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Request,
    UploadFile,
    WebSocket,
)
from fastapi.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from workbench.adapters.http import Ingress
from workbench.adapters.processes import free_ports
from workbench.errors import IngressError, PlanError


class Question(BaseModel):
    query: str
    k: int = 5
    tags: list[str] = Field(default_factory=list)


class Limits(BaseModel):
    """All of it has defaults, and one name in requests is not Python's."""

    most: int = Field(3, alias="at-most")


def service() -> FastAPI:
    """An API with one of everything."""
    api = FastAPI()

    @api.post("/chat")
    def chat(question: Question) -> dict[str, object]:
        """Answer a question."""
        if question.query == "missing":
            raise HTTPException(404, detail="no such passage")
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
    async def upload(
        file: UploadFile, more: list[UploadFile] | None = None, note: str = Form("")
    ) -> dict[str, object]:
        names = [each.filename for each in more or []]
        return {"size": len(await file.read()), "name": file.filename, "more": names, "note": note}

    @api.post("/sum")
    def total(numbers: list[float]) -> float:
        return sum(numbers)

    @api.post("/maybe")
    def maybe(question: Question | None = None) -> bool:
        return question is None

    @api.post("/limits")
    def limits(limits: Limits) -> int:
        return limits.most

    @api.post("/lists")
    def lists(limits: list[Limits]) -> list[int]:
        return [each.most for each in limits]

    @api.post(
        "/raw",
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {}}}}},
    )
    async def raw(request: Request) -> list[str]:
        return [request.headers["content-type"], (await request.body()).decode()]

    @api.patch(
        "/merge",
        openapi_extra={"requestBody": {"content": {"application/merge-patch+json": {}}}},
    )
    async def merge(request: Request) -> list[object]:
        return [request.headers["content-type"], await request.json()]

    @api.get("/refused_and_broken")
    def refused_and_broken() -> StreamingResponse:
        return StreamingResponse(ticks(True), 400)

    @api.get("/places")
    def places(
        tag: Annotated[list[str], Header()],
        session: Annotated[str, Cookie()],
        x_token: str = "",
        token: Annotated[str, Header(alias="x-token")] = "",
    ) -> list[object]:
        return [tag, session, x_token, token]

    @api.get("/files/{path:path}")
    def file_at(path: str) -> str:
        return path

    @api.delete("/items/{item_id}", name="drop", status_code=204)
    def drop(item_id: int) -> None:
        """Drop an item."""

    @api.patch("/items/{item_id}", name="change")
    def change(item_id: int) -> int:
        return item_id

    @api.get("/old")
    def old() -> RedirectResponse:
        return RedirectResponse("/api/items/7")

    @api.get("/plain", response_class=PlainTextResponse)
    def plain() -> str:
        return "plain"

    @api.get("/refresh")
    def refresh() -> Response:
        return Response("[1]", media_type="application/problem+json; charset=utf-8")

    @api.get("/bytes")
    def some_bytes() -> Response:
        return Response(bytes(range(256)), media_type="application/octet-stream")

    @api.get("/refuse")
    def refuse() -> None:
        raise HTTPException(400, detail=["one", "two"])

    @api.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    @api.get("/fail")
    def fail() -> None:
        raise ValueError("broken")

    async def ticks(broken: bool) -> object:
        for number in range(3):
            yield f"id: {number}\nevent: tick\ndata: {json.dumps(number)}\n\n"
            await asyncio.sleep(0)
        if broken:
            raise ValueError("broken")

    @api.post("/events")
    def events(broken: bool = False) -> StreamingResponse:
        return StreamingResponse(ticks(broken), media_type="text/event-stream")

    @api.get("/burst")
    def burst() -> StreamingResponse:
        return StreamingResponse(iter(["data: 1\n\ndata: 2\n\n"]), media_type="text/event-stream")

    @api.get("/lines")
    def lines() -> StreamingResponse:
        pieces = ['{"n": 1}\n{"n"', ': "\u2028"}\n']
        return StreamingResponse(iter(pieces), media_type="application/jsonl")

    @api.get("/garbled")
    def garbled() -> StreamingResponse:
        return StreamingResponse(iter(['{"n": 1}\n', "oops\n"]), media_type="application/x-ndjson")

    @api.get("/text")
    def text() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), media_type="text/plain")

    @api.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text((await socket.receive_text()).upper())
        await socket.close()

    return api


@contextmanager
def served(app: Any) -> Iterator[str]:
    """An ASGI application on a free port of loopback."""
    [port] = free_ports(1)
    running = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    running.force_exit = running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The API below a prefix, as Serve puts it there."""
    app = FastAPI()
    app.mount("/api", service())
    with served(app) as url:
        yield f"{url}/api"


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


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_each_verb_has_a_method(ingress: Ingress, method: str) -> None:
    """They send what they are called."""
    answer = getattr(ingress, method)("/items/3", **({} if method != "put" else {"json": {}}))

    assert (answer.request.method, answer.status_code) == (
        method.upper(),
        {"get": 200, "put": 422, "patch": 200, "delete": 204}[method],
    )


def test_the_options_of_httpx_are_taken(ingress: Ingress) -> None:
    """Also those that belong to the sending, not to the request."""
    assert ingress.get("/old", follow_redirects=True).json()["item"] == 7
    assert ingress.stream("/old", follow_redirects=True, auth=("a", "b")).read()["item"] == 7


def test_a_client_error_is_an_answer(ingress: Ingress) -> None:
    """Whoever sends the request looks at the status of a 4xx."""
    assert ingress.get("/nowhere").status_code == 404


def test_a_server_error_carries_the_replicas_traceback(ingress: Ingress) -> None:
    """The traceback is asked for with the id that the request was sent with."""
    with pytest.raises(IngressError, match="Traceback of 32") as caught:
        ingress.get("/fail")

    assert (caught.value.status, caught.value.body) == (500, "Internal Server Error")


def test_an_unreadable_traceback_does_not_hide_the_failure(server: str) -> None:
    """When the cluster cannot be asked, the status and the body are still told."""

    def gone(request_id: str) -> str:
        raise ConnectionError("no cluster")

    with pytest.raises(IngressError, match="no cluster") as caught:
        Ingress(server, traceback_of=gone).get("/fail")

    assert caught.value.status == 500


def test_the_id_of_a_request_may_be_the_users_own(server: str) -> None:
    """A service that is traced from outside keeps its ids; the traceback has one beside it."""
    asked: list[str] = []
    ingress = Ingress(server, traceback_of=lambda request_id: asked.append(request_id) or "why")

    with pytest.raises(IngressError, match="why"):
        ingress.get("/fail", headers={"x-request-id": "mine"})

    assert [len(each) for each in asked] == [32]


@pytest.mark.parametrize("way", ["get", "stream"])
def test_the_client_tells_failures_in_the_same_way(ingress: Ingress, way: str) -> None:
    """What has a traceback shows it, whoever sends the request and however."""
    with pytest.raises(IngressError, match="Traceback of 32") as caught:
        if way == "get":
            ingress.client.get("/fail")
        with ingress.client.stream("GET", "/fail"):
            pass

    assert (caught.value.status, caught.value.body) == (500, "Internal Server Error")


def test_the_client_hands_other_answers_out(ingress: Ingress) -> None:
    """A 4xx is an answer, as for `get`."""
    assert ingress.client.get("/nowhere").status_code == 404


def test_a_client_of_what_is_gone_says_so() -> None:
    """Not httpx's own error, which advises nothing."""
    with pytest.raises(IngressError, match="nothing answers"):
        Ingress("http://127.0.0.1:9").client.get("/")


def test_a_stream_called_as_httpx_s_says_how_it_is_called(ingress: Ingress) -> None:
    """The verb does not come first; httpx's own stream is the client's."""
    with pytest.raises(PlanError, match=r"client\.stream"):
        ingress.stream("GET", "/ticks")


def test_a_slow_answer_is_not_taken_for_an_absent_service(ingress: Ingress) -> None:
    """The advice is to wait longer, not to deploy."""
    with pytest.raises(IngressError, match=r"no answer within 0\.05 s") as caught:
        ingress.get("/slow", timeout=0.05)

    assert "timeout=" in caught.value.advice


def test_a_closed_client_says_so(server: str) -> None:
    """As after the application was deleted."""
    ingress = Ingress(server)
    ingress.close()

    with pytest.raises(IngressError, match="was closed"):
        ingress.get("/plain")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many laboratories set one, and it cannot reach our loopback."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ingress = Ingress(server)

    assert ingress.get("/plain").text == "plain"
    with ingress.websocket("/echo") as socket:
        socket.send("a")
        assert socket.recv() == "A"


def test_nothing_there_is_said_with_advice() -> None:
    """A refused connection names the address and what to look at."""
    [port] = free_ports(1)

    with pytest.raises(IngressError, match=r"workbench\.apps") as caught:
        Ingress(f"http://127.0.0.1:{port}").get("/")

    assert str(port) in str(caught.value)


def test_server_sent_events_are_iterated(ingress: Ingress) -> None:
    """Each event's data, without the framing."""
    assert list(ingress.stream("/events", method="POST")) == ["0", "1", "2"]


def test_server_sent_events_are_given_whole(ingress: Ingress) -> None:
    """Also after some were read as data alone."""
    stream = ingress.stream("/events", method="POST")
    next(stream)

    assert [(e.event, e.id, e.data) for e in stream.events()] == [
        ("tick", "1", "1"),
        ("tick", "2", "2"),
    ]


def test_only_server_sent_events_have_fields(ingress: Ingress) -> None:
    """Asking another stream for them is a mistake with a message."""
    with ingress.stream("/text") as stream, pytest.raises(PlanError, match="sends text/plain"):
        stream.events()


def test_lines_text_and_bytes_are_iterated(ingress: Ingress) -> None:
    """JSON lines give objects, however they are cut up; text gives pieces; the rest bytes."""
    assert list(ingress.stream("/lines")) == [{"n": 1}, {"n": "\u2028"}]
    assert "".join(ingress.stream("/text")) == "ab"
    assert b"".join(ingress.stream("/bytes")) == bytes(range(256))


def test_pieces_come_before_the_answer_is_complete() -> None:
    """The service goes on only after its first piece was read, so buffering would hang."""
    read_first = threading.Event()
    api = FastAPI()

    def pieces() -> Iterator[str]:
        yield "first"
        assert read_first.wait(30)
        yield "second"

    @api.get("/")
    def text() -> StreamingResponse:
        return StreamingResponse(pieces(), media_type="text/plain")

    with served(api) as url, Ingress(url).stream("/") as stream:
        first = next(stream)
        read_first.set()
        assert [first, *stream] == ["first", "second"]


def test_a_line_that_is_not_json_is_told(ingress: Ingress) -> None:
    """What came before it is given."""
    stream = ingress.stream("/garbled")

    assert next(stream) == {"n": 1}
    with pytest.raises(IngressError, match="what is not JSON"):
        next(stream)


def test_a_stream_that_breaks_says_why(ingress: Ingress) -> None:
    """What came before the break is given; then the replica's traceback."""
    stream = ingress.stream("/events", params={"broken": True}, method="POST")

    assert [next(stream) for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(IngressError, match="Traceback of"):
        next(stream)


def test_a_stream_that_is_refused_raises_at_once(ingress: Ingress) -> None:
    """Not at the first item."""
    with pytest.raises(IngressError) as caught:
        ingress.stream("/nowhere")

    assert caught.value.status == 404


def test_a_refusal_that_breaks_off_is_told_as_one(ingress: Ingress) -> None:
    """The errors of the library below do not come through."""
    with pytest.raises(IngressError, match="broke off") as caught:
        ingress.stream("/refused_and_broken")

    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("path", "advice"),
    [("/evnts", "did you mean '/events'"), ("/events", "/events takes POST, not GET")],
)
def test_a_refused_path_names_the_nearest(ingress: Ingress, path: str, advice: str) -> None:
    """The service's own description knows what was meant."""
    with pytest.raises(IngressError) as caught:
        ingress.stream(path, method="GET")

    assert advice in caught.value.advice


def test_a_404_of_the_services_own_has_no_hint(ingress: Ingress) -> None:
    """The path is right: something else was not found."""
    with pytest.raises(IngressError, match="no such passage") as caught:
        ingress.call.chat(query="missing")

    assert caught.value.advice == ""


def test_a_path_that_no_application_has_is_told_as_such() -> None:
    """Serve's proxy answers for routes that nothing is deployed at."""
    api = FastAPI()

    @api.get("/{path:path}")
    def nothing(path: str) -> PlainTextResponse:
        said = f"Path '/{path}' not found. Ping http://.../-/routes for available routes."
        return PlainTextResponse(said, status_code=404)

    with served(api) as url:
        ingress = Ingress(f"{url}/rag")
        with pytest.raises(IngressError, match="is the application deployed"):
            ingress.stream("/chat")
        with pytest.raises(IngressError, match="is the application deployed"):
            ingress.call.chat()


def test_a_detail_of_any_shape_is_shown(ingress: Ingress) -> None:
    """HTTPException takes any JSON as its detail."""
    with pytest.raises(IngressError) as caught:
        ingress.call.refuse()

    assert caught.value.body == "one\ntwo"


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


def test_a_refused_websocket_has_a_status(ingress: Ingress) -> None:
    """There is no such route."""
    with pytest.raises(IngressError, match="refused the websocket") as caught:
        ingress.websocket("/nowhere")

    assert caught.value.status == 403


def test_a_closed_stream_frees_its_connection(ingress: Ingress) -> None:
    """Leaving early is no error, and ends the iteration."""
    with ingress.stream("/burst") as stream:
        next(stream)

    assert stream.response.is_closed
    assert list(stream) == []


def test_a_stream_that_was_closed_unread_is_empty(ingress: Ingress) -> None:
    """As one that was closed after its first item."""
    stream = ingress.stream("/burst")
    stream.close()

    assert list(stream) == []


def test_operations_have_signatures(ingress: Ingress) -> None:
    """Completion and help work as for any function."""
    chat = ingress.call.chat

    assert str(inspect.signature(chat)) == CHAT
    assert (chat.__name__, chat.__annotations__["tags"]) == ("chat", list[str])
    assert "Answer a question." in chat.__doc__
    assert {"chat", "item_get", "item_put", "form", "upload"} <= set(dir(ingress.call))
    assert f"chat{CHAT}" in repr(ingress.call)


CHAT = "(*, query: str, k: int = 5, tags: list[str] = None)"


def test_operations_are_called(ingress: Ingress) -> None:
    """Path, query, body, form and file arguments go where they belong."""
    assert ingress.call.chat(query="x", k=2) == {"answer": "X", "k": 2}
    assert ingress.call.item_get(item_id=4, verbose=True) == {"item": 4, "verbose": True}
    assert ingress.call.item_put(item_id=4, query="q") == {"item": 4, "query": "q"}
    assert ingress.call.form(user="ann") == {"user": "ann", "age": 3}
    assert ingress.call.file_at(path="a b/ü?.txt") == "a b/ü?.txt"
    assert list(ingress.call.events()) == ["0", "1", "2"]


def test_headers_and_cookies_are_sent(ingress: Ingress) -> None:
    """A header `x-token` beside a parameter `x_token` has a name of its own."""
    answer = ingress.call.places(tag=["a", "b"], session="s", x_token_query="q", x_token_header="h")

    assert answer == [["a", "b"], "s", "q", "h"]


def test_a_body_that_is_no_object_is_one_argument(ingress: Ingress) -> None:
    """And a body that may be left out is left out."""
    assert ingress.call.total(body=[1, 2.5]) == 3.5
    assert ingress.call.maybe() is True
    assert ingress.call.maybe(body={"query": "x"}) is False


def test_a_body_of_defaults_is_sent_all_the_same(ingress: Ingress) -> None:
    """The service requires a body, if only an empty object."""
    assert ingress.call.limits() == 3


def test_fields_have_their_names_in_requests(ingress: Ingress) -> None:
    """An alias is what the service reads, in arguments and in models."""
    assert ingress.call.limits(at_most=4) == 4
    assert ingress.call.lists(body=[Limits.model_validate({"at-most": 5})]) == [5]


def test_a_body_that_is_not_json_is_sent_as_it_is(ingress: Ingress) -> None:
    """With the media type that the service declares."""
    assert ingress.call.raw(body="a,b") == ["text/csv", "a,b"]
    assert ingress.call.raw(body=b"a,b") == ["text/csv", "a,b"]


def test_a_kind_of_json_keeps_its_media_type(ingress: Ingress) -> None:
    """It is written as JSON, and named as the service declares it."""
    answer = ingress.call.merge(body={"a": None})

    assert answer == ["application/merge-patch+json", {"a": None}]


def test_slashes_in_a_path_stay(ingress: Ingress) -> None:
    """Proxies refuse or rewrite encoded slashes."""
    answer = ingress.stream("/files/a/b")
    called: list[bytes] = []
    ingress.client.event_hooks["request"].append(lambda r: called.append(r.url.raw_path))

    assert answer.read() == ingress.call.file_at(path="a/b")
    assert called[-1] == answer.response.request.url.raw_path


def test_a_body_whose_field_is_also_a_parameter_is_one_argument() -> None:
    """Two arguments of one name cannot be told apart."""
    api = FastAPI()

    @api.put("/{k}")
    def put(k: int, question: Question) -> list[int]:
        return [k, question.k]

    with served(api) as url:
        assert Ingress(url).call.put(k=1, body=Question(query="x", k=2)) == [1, 2]


def test_files_are_bytes_paths_or_open_files(ingress: Ingress, tmp_path: Path) -> None:
    """A path keeps its name."""
    path = tmp_path / "a.txt"
    path.write_text("12345")

    assert ingress.call.upload(file=b"12345")["size"] == 5
    with path.open("rb") as opened:
        answer = ingress.call.upload(file=path, more=[opened, b"1"], note="hi")
    assert answer == {"size": 5, "name": "a.txt", "more": ["a.txt", "upload"], "note": "hi"}


@pytest.mark.parametrize(
    ("operation", "answer"),
    [("plain", "plain"), ("some_bytes", bytes(range(256))), ("refresh", [1])],
)
def test_an_answer_is_what_its_type_says(ingress: Ingress, operation: str, answer: Any) -> None:
    """JSON is parsed, text is a string, the rest bytes."""
    assert getattr(ingress.call, operation)() == answer


def test_an_empty_answer_is_none(ingress: Ingress) -> None:
    """204 has no body to parse."""
    assert ingress.call.drop(item_id=3) is None


@pytest.mark.parametrize("value", [numpy.int64(2), numpy.array(2), 2])
def test_numbers_of_numpy_are_numbers(ingress: Ingress, value: object) -> None:
    """A notebook's values come out of arrays."""
    assert ingress.call.chat(query="x", k=value)["k"] == 2


def test_tuples_arrays_and_models_are_json(ingress: Ingress) -> None:
    """What pydantic can write need not be turned into lists and dicts by hand."""
    assert ingress.call.total(body=numpy.ones(3)) == 3
    assert ingress.call.chat(query="x", tags=("a",))["answer"] == "X"
    assert ingress.call.maybe(body=Question(query="x")) is False


def test_none_leaves_an_argument_out_where_it_is_the_shown_default(ingress: Ingress) -> None:
    """What the signature shows may be given."""
    assert ingress.call.chat(query="x", tags=None)["answer"] == "X"


@pytest.fixture
def sent(ingress: Ingress) -> list[str]:
    """Paths of the requests that leave, once the service's description was read."""
    paths: list[str] = []
    dir(ingress.call)
    hooks = ingress.client.event_hooks
    hooks["request"] = [*hooks["request"], lambda r: paths.append(r.url.path)]
    ingress.client.event_hooks = hooks
    return paths


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("chat", {}, "query must be given"),
        ("chat", {"query": 3}, "query=3: 3 is not of type 'string'"),
        ("chat", {"query": "x", "k": None}, "k=None: None is not of type 'integer'"),
        ("chat", {"query": "x", "tags": ["a", 1]}, r"tags=\['a', 1\]: at \[1\]: 1 is not of type"),
        ("chat", {"quary": "x"}, "did you mean 'query'"),
        ("chat", {"query": object()}, "query: .*object"),
        ("upload", {"file": "a.txt"}, "file='a.txt' is no file: give bytes, a pathlib.Path"),
        ("upload", {"file": b"", "note": 3}, "note=3: 3 is not of type"),
        ("file_at", {"path": "a/../b"}, "lead to another path"),
    ],
)
def test_wrong_arguments_are_refused_before_sending(
    ingress: Ingress, sent: list[str], operation: str, arguments: dict[str, object], said: str
) -> None:
    """The message names the argument and the value, the advice the signature."""
    function = getattr(ingress.call, operation)

    with pytest.raises(PlanError, match=said) as caught:
        function(**arguments)

    assert str(inspect.signature(function)) in caught.value.advice
    assert set(sent) <= {"/api/openapi.json"}


def test_arguments_are_given_by_name(ingress: Ingress) -> None:
    """The order of a schema's fields is nobody's promise."""
    with pytest.raises(PlanError, match="'hello' must be given by name"):
        ingress.call.chat("hello")


def test_a_pattern_that_python_does_not_know_is_left_to_the_service() -> None:
    """Pydantic's patterns are Rust's."""
    api = FastAPI()

    @api.post("/")
    def name(text: str = Form(pattern=r"^\p{Lu}+$")) -> str:
        return text

    with served(api) as url:
        assert Ingress(url).call.name(text="ABC") == "ABC"


def test_an_unknown_operation_names_the_nearest(ingress: Ingress) -> None:
    """A typo is answered with what there is."""
    with pytest.raises(PlanError, match="did you mean 'chat'"):
        ingress.call.chta()


def test_two_routers_with_a_function_of_one_name_are_both_there() -> None:
    """Neither operation hides the other."""
    api = FastAPI()
    for prefix in ("/a", "/b"):
        router = APIRouter(prefix=prefix)
        router.add_api_route("/", lambda prefix=prefix: prefix, name="read")
        api.include_router(router)

    with served(api) as url:
        ingress = Ingress(url)
        assert (ingress.call.read_a__get(), ingress.call.read_b__get()) == ("/a", "/b")


def test_the_operations_of_an_absent_service_are_shown_all_the_same() -> None:
    """A representation does not raise."""
    [port] = free_ports(1)

    assert "nothing answers at" in repr(Ingress(f"http://127.0.0.1:{port}").call)


class Switched:
    """An ASGI application that is exchanged, as a redeploy does."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Delegate."""
        await self.app(scope, receive, send)


def first_version() -> FastAPI:
    """One operation."""
    api = FastAPI()

    @api.post("/chat")
    def chat(question: Question) -> str:
        return question.query

    return api


def second_version() -> FastAPI:
    """Another argument, and another operation."""
    api = FastAPI()

    @api.post("/chat")
    def chat(query: str, mood: str) -> str:
        return f"{query} {mood}"

    @api.get("/new")
    def new() -> str:
        return "new"

    return api


@pytest.fixture
def switched() -> Iterator[tuple[Switched, Ingress]]:
    """A service whose first version was called already."""
    app = Switched(first_version())
    with served(app) as url:
        ingress = Ingress(url)
        ingress.call.chat(query="x")
        app.app = second_version()
        yield app, ingress


def test_a_new_operation_is_found_after_a_redeploy(switched: tuple[Switched, Ingress]) -> None:
    """Nobody has to say that the service changed."""
    assert switched[1].call.new() == "new"


def test_a_new_argument_is_found_after_a_redeploy(switched: tuple[Switched, Ingress]) -> None:
    """Before refusing an argument, the service is asked again."""
    assert switched[1].call.chat(query="x", mood="calm") == "x calm"


def test_a_refusal_makes_the_next_call_look_again(switched: tuple[Switched, Ingress]) -> None:
    """The service refuses what it had declared, so it has changed."""
    ingress = switched[1]

    with pytest.raises(IngressError, match=r"query\.mood: Field required"):
        ingress.call.chat(query="x")
    assert str(inspect.signature(ingress.call.chat)) == "(*, query: str, mood: str)"


def test_a_kept_function_follows_a_redeploy(switched: tuple[Switched, Ingress]) -> None:
    """It belongs to the name, not to the version that it was taken from."""
    app, ingress = switched
    new = ingress.call.new
    app.app = first_version()
    ingress.call.invalidate()

    with pytest.raises(AttributeError, match="no operation 'new'"):
        new()


def test_threads_share_an_ingress(ingress: Ingress) -> None:
    """Each gets its own answer."""
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = ingress.call.item_get(item_id=number)["item"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {number: number for number in range(16)}


def test_a_cell_with_a_running_loop_can_query(ingress: Ingress) -> None:
    """Notebook cells run inside one."""

    async def cell() -> object:
        return [ingress.call.plain(), *ingress.stream("/text")]

    assert asyncio.run(cell())[0] == "plain"
