"""What reaches a replica and what comes back: the same on both data paths.

One test runs the others once more, on a cluster with Serve's own proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from ray import serve

import workbench
from workbench.adapters import cluster as ray_cluster
from workbench.adapters import doctor, haproxy, processes

from .listening import listeners

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parent.parent
PYTHON, PATH = "python", "WORKBENCH_TEST_DATA_PATH"
LARGE = 10 * 2**20
SMALL = {"ray_actor_options": {"num_cpus": 0.1}}
api = FastAPI()


@serve.deployment(**SMALL)
class Turner:
    def __call__(self, data: bytes) -> bytes:
        return data[::-1]


@serve.deployment(max_ongoing_requests=20, **SMALL)
@serve.ingress(api)
class Wire:
    def __init__(self, turner: Any) -> None:
        self.turner = turner
        self.cancelled = 0

    @api.post("/turn")
    async def turn(self, request: Request) -> dict[str, Any]:
        """The body through another deployment and back; its length and its first byte."""
        turned = await self.turner.remote(await request.body())
        return {"length": len(turned), "first": turned[0]}

    @api.get("/stored")
    async def stored(self) -> bool:
        """Whether what goes to the other deployment goes through Ray's object store."""
        return bool(self.turner.handle_options._by_reference)

    @api.get("/large")
    async def large(self) -> StreamingResponse:
        return StreamingResponse(iter([b"x" * 2**20] * 10))

    @api.get("/slow")
    async def slow(self) -> str:
        """Ten seconds, unless the client leaves."""
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "slept"

    @api.get("/cancelled")
    async def count(self) -> int:
        return self.cancelled

    @api.get("/ticks")
    async def ticks(self, n: int, every_s: float = 0.1) -> StreamingResponse:
        async def lines() -> Any:
            for number in range(n):
                yield f"{number}\n"
                await asyncio.sleep(every_s)

        return StreamingResponse(lines())

    @api.get("/block")
    async def block(self, seconds: float) -> str:
        """A model that holds its event loop, as users write them."""
        time.sleep(seconds)
        return "done"

    @serve.batch(max_batch_size=2)
    async def together(self, items: list[int]) -> list[int]:
        return items

    @api.get("/where")
    async def where(self, request: Request) -> dict[str, Any]:
        return {
            "path": request.url.path,
            "root": request.scope["root_path"],
            "query": request.url.query,
            "model": serve.get_multiplexed_model_id(),
        }

    @api.websocket("/echo")
    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)


@pytest.fixture(scope="module")
def wire() -> Iterator[Any]:
    """A service of two deployments, for all tests of this module."""
    app = workbench.deploy(Wire.bind(Turner.bind()), name="wire", route_prefix="/wire")
    yield app
    workbench.delete(app.name)


def test_large_bodies_pass(wire: Any) -> None:
    """Ten megabytes in, through another deployment, and ten out."""
    assert wire.post("/turn", content=b"a" + b"b" * (LARGE - 1)).json() == {
        "length": LARGE,
        "first": ord("b"),
    }
    assert len(wire.get("/large").content) == LARGE


def test_calls_of_deployments_take_the_way_of_the_cluster(wire: Any) -> None:
    """Not that of the process which deployed them: Serve's handles come with its environment."""
    running = ray_cluster.known_head().data_path  # type: ignore[union-attr]  # it runs
    assert wire.get("/stored").json() == (running == PYTHON)


def test_paths_and_headers_are_as_they_were_sent(wire: Any) -> None:
    """With the prefix as root, the query, and the id of a multiplexed model."""
    found = wire.get("/where?a=1&b=%20", headers={"serve_multiplexed_model_id": "m7"}).json()

    assert found == {"path": "/wire/where", "root": "/wire", "query": "a=1&b=%20", "model": "m7"}


def test_a_client_that_leaves_ends_its_request(wire: Any) -> None:
    """A request that nobody waits for holds no slot."""
    before = wire.get("/cancelled").json()
    with pytest.raises(httpx.TimeoutException):
        httpx.get(f"{wire.url}/slow", timeout=0.5)

    until = time.monotonic() + 10
    while wire.get("/cancelled").json() == before and time.monotonic() < until:
        time.sleep(0.05)
    assert wire.get("/cancelled").json() == before + 1


def test_a_stream_comes_piece_by_piece(wire: Any) -> None:
    """The first piece is there long before the last."""
    began, seen = time.monotonic(), []
    with httpx.stream("GET", f"{wire.url}/ticks?n=10") as answer:
        for line in answer.iter_lines():
            seen.append((line, time.monotonic() - began))

    assert [line for line, _ in seen] == [str(n) for n in range(10)]
    assert seen[-1][1] - seen[0][1] > 0.5


def test_a_stream_and_a_websocket_outlive_a_change_of_replicas(wire: Any) -> None:
    """More replicas are another set of addresses; who is connected stays connected."""
    lines: list[str] = []

    def read() -> None:
        with httpx.stream("GET", f"{wire.url}/ticks?n=60", timeout=30) as answer:
            lines.extend(answer.iter_lines())

    reader = threading.Thread(target=read)
    reader.start()
    with wire.websocket("/echo") as socket:
        wire.tune("Wire", num_replicas=2)
        socket.send("still there?")
        assert socket.recv() == "still there?"
        reader.join()
    wire.tune("Wire", num_replicas=1)

    assert lines == [str(n) for n in range(60)]


def test_no_request_fails_while_replicas_come_and_go(wire: Any) -> None:
    """A replica that stops has answered what it accepted."""
    failed: list[Any] = []
    done = threading.Event()

    def query() -> int:
        count = 0
        with httpx.Client(base_url=wire.url, timeout=30) as client:
            while not done.is_set():
                try:
                    answer = client.get("/cancelled")
                    if answer.status_code != 200:
                        failed.append(answer.text)
                except httpx.HTTPError as error:
                    failed.append(repr(error))
                count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(query) for _ in range(4)]
        for replicas in (3, 1, 2, 1):
            wire.tune("Wire", num_replicas=replicas)
        time.sleep(2)  # what was stopped goes away
        done.set()

    assert not failed
    assert all(count.result() for count in counts)


def numbered(number: int) -> Any:
    """A service whose processes are replaced for each number."""
    app = FastAPI()

    @serve.deployment(num_replicas=2, **SMALL)
    @serve.ingress(app)
    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        @app.get("/")
        def get(self) -> int:
            return self.number

    return Numbered.bind(number)


def test_no_replaced_process_answers_after_a_deploy(name: str) -> None:
    """Clients that keep their connections, asking all the time or once in a while; none fails."""
    url = workbench.deploy(numbered(0), name=name).url
    answers: list[tuple[float, int]] = []
    done = threading.Event()

    def query(pause_s: float) -> None:
        with httpx.Client(timeout=30) as client:
            while not done.wait(pause_s):
                sent = time.monotonic()
                answers.append((sent, client.get(url).raise_for_status().json()))

    returned = []
    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(query, pause_s) for pause_s in (0, 0, 0, 0.3, 0.7, 1.5)]
        for number in (1, 2):
            workbench.deploy(numbered(number), name=name)
            returned.append((time.monotonic(), number))
        time.sleep(2)
        done.set()

    assert [client.exception() for client in clients] == [None] * len(clients)
    for at, number in returned:
        assert [each for sent, each in answers if sent > at and each < number] == []


def test_it_is_said_that_models_are_not_looked_for(name: str, capsys: Any) -> None:
    """HAProxy sends a request to any replica, Serve's own proxy to one that has the model."""

    @serve.deployment(**SMALL)
    class Many:
        @serve.multiplexed(max_num_models_per_replica=2)
        async def load(self, model_id: str) -> str:
            return model_id

        async def __call__(self, request: Request) -> str:
            return str(await self.load(serve.get_multiplexed_model_id()))

    app = workbench.deploy(Many.bind(), name=name)
    told = "whichever multiplexed model it has" in capsys.readouterr().out

    assert app.get("/", headers={"serve_multiplexed_model_id": "m7"}).text == "m7"
    assert told == (ray_cluster.known_head().data_path == "fast")  # type: ignore[union-attr]  # as above


def test_a_limit_of_queued_requests_holds_at_once(wire: Any) -> None:
    """Set on the running service: what is beyond it is refused with 503."""
    wire.tune("Wire", max_ongoing_requests=1, max_queued_requests=1)
    try:
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(httpx.get, f"{wire.url}/ticks?n=5", timeout=30) for _ in range(6)]
            statuses = sorted(each.result().status_code for each in asked)
    finally:
        wire.tune("Wire", max_ongoing_requests=20, max_queued_requests=-1)
    with ThreadPoolExecutor(6) as pool:
        after = list(pool.map(lambda _: wire.get("/cancelled").status_code, range(6)))

    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert set(statuses) == {200, 503}
    assert set(after) == {200}


def test_code_is_exchanged_while_the_users_loop_is_held(wire: Any) -> None:
    """A model that blocks in an `async def` stops neither swaps nor tunes nor health checks."""
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(wire.get, "/block?seconds=6")
        time.sleep(0.5)
        began = time.monotonic()
        done = wire.tune("Wire", max_batch_size=3)
        seconds = time.monotonic() - began
        assert not blocked.done()
        assert blocked.result().json() == "done"

    assert done.kept_processes
    assert seconds < 6


def test_requests_are_remembered(wire: Any) -> None:
    """Without a line written at each: verb, path, status and time, the newest last."""
    wire.get("/cancelled")
    wire.get("/nowhere")
    shown = wire.logs(access=True, tail=2)

    assert [line.split(" | ")[1].rsplit(" ", 2)[0] for line in shown] == [
        "GET /wire/cancelled 200",
        "GET /wire/nowhere 404",
    ]
    with pytest.raises(workbench.PlanError, match="access=True"):
        wire.logs("Wire", access=True)


def test_the_path_is_said_and_cannot_be_changed_while_something_runs(wire: Any) -> None:
    """In the cluster's line and by the doctor."""
    running = ray_cluster.known_head().data_path  # type: ignore[union-attr]  # it runs
    other = {"fast": "python", "python": "fast"}[running]

    assert f"({running} data path)" in str(workbench.start())
    assert workbench.start(data_path=running).facts.data_path == running
    [check] = [each for each in doctor.checks() if each.name == "data path"]
    assert running in check.found
    with pytest.raises(workbench.ClusterError, match=f"'{running}'"):
        workbench.start(data_path=other)
    with pytest.raises(workbench.ClusterError, match="data_path='quick' is none"):
        workbench.start(data_path="quick")


def test_no_haproxy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ray Serve brings none, "auto" takes the other path and "fast" is refused."""
    monkeypatch.setattr(haproxy, "binary", lambda: "")

    with pytest.raises(workbench.ClusterError, match="there is no HAProxy"):
        workbench.start(data_path="fast")
    assert workbench.start(data_path="auto").facts.http_url


@pytest.mark.skipif(PYTHON in os.environ.get(PATH, ""), reason="this is that run")
def test_all_of_this_holds_behind_the_other_proxy() -> None:
    """On a cluster of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command, env={**os.environ, PATH: PYTHON}, capture_output=True, text=True, cwd=ROOT
    )

    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout


def test_haproxy_is_this_users_alone() -> None:
    """Every listener on loopback, the admin socket private; it ends with the cluster's mark."""
    head = ray_cluster.known_head()
    assert head is not None
    if head.data_path != "fast":
        pytest.skip("this cluster runs the python data path")
    found = listeners(head.cluster_id).items()
    listening = [address for (address, _), name in found if name == "haproxy"]
    sockets = [p for p in Path(head.temp_dir, "h").rglob("*") if p.is_socket()]

    assert len(listening) >= 3  # ingress, statistics, metrics
    assert set(listening) == {"127.0.0.1"}
    assert sockets
    assert {stat.S_IMODE(each.stat().st_mode) for each in sockets} <= {0o600, 0o700}
    assert processes.listens(head.http_port, head.cluster_id)


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00 hello \r\n\r\n",
    "no such verb": b"SNATCH /wire/where HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line without an end": b"GET /wire/" + b"a" * 100_000,
    "two lengths": b"POST /wire/turn HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Content-Length: 5\r\n\r\nabc",
    "a length and chunks": b"POST /wire/turn HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "a body cut off": b"POST /wire/turn HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc",
    "a path out of it": b"GET /wire/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a null": b"GET /wire/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_requests_harm_nobody(wire: Any, what: str) -> None:
    """They get an error or nothing, and the next request its answer."""
    place = urlsplit(wire.url)
    with socket.create_connection((place.hostname, place.port), timeout=3) as connection:
        answer = b""
        with contextlib.suppress(OSError):  # it may close, or wait for the rest
            connection.sendall(MALFORMED[what])
            answer = connection.recv(65536)

    assert not answer.startswith(b"HTTP/1.1 2"), answer
    assert b"Traceback" not in answer
    assert wire.get("/cancelled").status_code == 200


def test_a_path_that_the_service_lacks_is_answered_by_the_service(wire: Any) -> None:
    """Not by what stands in front of it."""
    answer = httpx.get(f"{wire.url}/nowhere")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
