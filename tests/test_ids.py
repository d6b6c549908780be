"""An application sees the headers that its client sent, and answers with its own."""

from __future__ import annotations

import os
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Header, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from ray import serve

import workbench
from workbench import IngressError
from workbench.replica import ids

pytestmark = pytest.mark.ray
SMALL: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}}
TRACE = {"x-request-id": "mine"}
api = FastAPI()


class Strict(BaseModel):
    """Headers of a client, and no others."""

    model_config = {"extra": "forbid"}
    host: str
    accept: str = ""
    accept_encoding: str = ""
    connection: str = ""
    user_agent: str = ""
    x_request_id: str | None = None


@api.get("/strict")
def strict(headers: Annotated[Strict, Header()]) -> str | None:
    """Refuse every header that was not sent."""
    return headers.x_request_id


@api.get("/headers")
def headers(request: Request) -> list[str]:
    """Names of the headers."""
    return [name.decode() for name, _ in request.scope["headers"]]


@api.get("/answer")
def answer() -> StreamingResponse:
    """Answer with an id of the application's own."""
    return StreamingResponse(iter(["a", "b"]), headers={"X-Request-ID": "of the app"})


@api.get("/fails")
def fails() -> None:
    """Fail."""
    raise LookupError("no such thing")


@api.websocket("/socket")
async def socket(socket: WebSocket) -> None:
    """Send the names of the headers."""
    await socket.accept()
    await socket.send_json([name.decode() for name, _ in socket.scope["headers"]])
    await socket.close()


@pytest.fixture(scope="module")
def app() -> Any:
    """The application, deployed."""
    return workbench.deploy(api, name="ids", **SMALL)


@pytest.fixture(scope="module", autouse=True)
def _gone(app: Any) -> Any:
    yield
    workbench.delete("ids")


def ids_of(response: httpx.Response) -> list[str]:
    """The ids of a request that an answer tells."""
    return response.headers.get_list("x-request-id")


@pytest.mark.parametrize("path", ["/headers", "/strict"])
def test_no_header_that_was_not_sent(app: Any, path: str) -> None:
    """Neither Serve's id nor ours reaches the application or its client."""
    plain = httpx.get(f"{app.url}{path}", trust_env=False)
    ours = app.get(path)

    for each in (plain, ours):
        assert each.status_code == 200, each.text
        assert "request" not in each.text
        assert ids_of(each) == []


def test_the_client_s_own_id_arrives(app: Any) -> None:
    """It is a header like any other, and is not answered by anybody but the application."""
    plain = httpx.get(f"{app.url}/strict", headers=TRACE, trust_env=False)

    assert plain.json() == app.get("/strict", headers=TRACE).json() == "mine"
    assert ids_of(plain) == []


@pytest.mark.parametrize("sent", [{}, TRACE], ids=["none", "one"])
def test_the_application_s_own_id_comes_once(app: Any, sent: dict[str, str]) -> None:
    """In a stream too."""
    plain = httpx.get(f"{app.url}/answer", headers=sent, trust_env=False)

    assert plain.text == "ab"
    assert ids_of(plain) == ["of the app"]


def test_a_websocket_sees_what_was_sent(app: Any) -> None:
    """The handshake has headers too."""
    with app.websocket("/socket") as opened:
        assert "request" not in opened.recv()


@pytest.mark.parametrize("sent", [{}, TRACE], ids=["none", "one"])
def test_a_failure_has_its_traceback(app: Any, sent: dict[str, str]) -> None:
    """Whatever id the client uses itself; through `client` too."""
    for get in (app.get, app.client.get):
        with pytest.raises(IngressError, match="no such thing") as failed:
            get("/fails", headers=sent)
        assert "LookupError" in failed.value.reason


def test_the_client_is_httpx_s_otherwise(app: Any) -> None:
    """Streams by `client.stream`, and `app.stream` says so when it is called like that."""
    with app.client.stream("GET", "/answer") as response:
        assert response.read() == b"ab"
    with pytest.raises(IngressError, match="no such thing"), app.client.stream("GET", "/fails"):
        pass
    with pytest.raises(workbench.PlanError, match=r"client\.stream"):
        app.stream("GET", "/answer")
    assert app.client.get("/nothing").status_code == 404


@serve.deployment(**SMALL)
class Plain:
    """Serve's own way: no application, but Serve's request."""

    def __call__(self, request: Any) -> list[str]:
        """Names of the headers; fails when asked to."""
        if "fail" in request.query_params:
            raise LookupError("asked for")
        return sorted(request.headers)


def test_a_class_without_an_application_sees_what_serve_shows(name: str) -> None:
    """Serve's id is part of Serve's semantics; ours is not seen."""
    app = workbench.deploy(Plain, name=name)

    assert "x-request-id" in app.get("/").json()
    assert ids.ASKED.decode() not in app.get("/").json()
    with pytest.raises(IngressError, match="asked for") as failed:
        app.get("/", params={"fail": 1})
    assert "LookupError" in failed.value.reason


def test_the_data_path_is_the_one_that_is_tested(app: Any) -> None:
    """`make test-python-path` runs these too, behind Serve's own proxy."""
    path = os.environ.get("WORKBENCH_TEST_DATA_PATH", "auto")

    assert app.cluster.facts.data_path == ("python" if path == "python" else "fast")
