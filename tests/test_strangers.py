"""Whoever has no token: every port that other machines could reach refuses them."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI

import workbench
from workbench.adapters import cluster as ray_cluster

from .listening import listeners

pytestmark = pytest.mark.ray

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
# What a stranger would ask for: who is there, and to have code run.
METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVPut",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.ReporterService/CpuProfiling",
    "/ray.serve.ASGIService/HandleRequest",
)
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}


def _listeners() -> dict[tuple[str, int], str]:
    head = ray_cluster.known_head()
    assert head is not None
    return listeners(head.cluster_id)


def _place(address: str, port: int) -> str:
    if address in ("::", "0.0.0.0"):
        address = "127.0.0.1"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _codes(place: str) -> set[grpc.StatusCode]:
    """What a gRPC server answers to a stranger; UNAVAILABLE alone where it is none."""
    codes = set()
    with grpc.insecure_channel(place) as channel:
        for method in METHODS:
            try:
                channel.unary_unary(method)(b"", timeout=10)
                codes.add(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.add(error.code())
    return codes


def _refuses(place: str) -> bool:
    """Whether what listens there asks for the token."""
    codes = _codes(place)
    if codes != {grpc.StatusCode.UNAVAILABLE}:
        return grpc.StatusCode.UNAUTHENTICATED in codes and codes <= REFUSED
    return httpx.get(f"http://{place}/").status_code == 401


def _application() -> FastAPI:
    api = FastAPI()

    @api.get("/")
    def hello() -> str:
        return "hello"

    return api


def test_every_port_that_others_reach_asks_for_the_token(name: str) -> None:
    """Ray's own, and the replicas' by which deployments call one another."""
    workbench.deploy(_application(), name=name)
    others = {_place(*at): who for at, who in _listeners().items() if at[0] not in LOOPBACK}
    admitted = {place: who for place, who in others.items() if not _refuses(place)}

    assert any("ray::ServeReplica" in each for each in others.values())
    assert not admitted


def test_metrics_are_for_this_machine_alone() -> None:
    """Ray would tell them to everyone, and has no token for them."""
    facts = workbench.start().facts

    assert httpx.get(facts.metrics_url).text.startswith("# HELP")
    port = int(facts.metrics_url.removesuffix("/metrics").rpartition(":")[2])
    assert {address for address, at in _listeners() if at == port} <= set(LOOPBACK)


@pytest.mark.parametrize(
    "path", ["/api/jobs/", "/nodes?view=summary", "/api/v0/logs", "/api/serve/applications/"]
)
def test_the_dashboard_asks_for_the_token(path: str) -> None:
    """It submits jobs and shows logs."""
    head = ray_cluster.known_head()
    assert head is not None

    assert httpx.get(f"http://{head.dashboard}{path}").status_code == 401
    posted = httpx.post(f"http://{head.dashboard}/api/jobs/", json={"entrypoint": "id"})
    assert posted.status_code == 401


class Canary:
    """Leaves a file behind where its pickle is read."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)

    def __reduce__(self) -> Any:
        return os.mkdir, (self._file,)


PICKLES = ("application/octet-stream", "application/x-pickle", "application/json", "text/plain")


def test_no_port_reads_a_pickle_that_a_stranger_sends(name: str, tmp_path: Path) -> None:
    """By HTTP to everything that listens, on the routes of a service and on Serve's own."""
    workbench.deploy(_double, name=name)
    paths = ("/", f"/{name}", f"/{name}/", "/-/healthz", "/-/routes", "/api/serve/applications/")
    answered = 0
    with httpx.Client(timeout=10) as client:
        for address, port in _listeners():
            for path in paths:
                for kind in PICKLES:
                    body = pickle.dumps(Canary(tmp_path / f"{port}"))
                    try:
                        client.post(
                            f"http://{_place(address, port)}{path}",
                            content=body,
                            headers={"Content-Type": kind, "X-Request-Id": "canary"},
                        )
                        answered += 1
                    except httpx.HTTPError:
                        break  # it speaks something else, such as gRPC
    time.sleep(0.5)

    assert answered > len(paths)
    assert not list(tmp_path.iterdir())
    pickle.loads(pickle.dumps(Canary(tmp_path / "read")))
    assert list(tmp_path.iterdir())  # had it been read, this would show


def _double(x: int) -> int:
    return 2 * x


def test_pages_of_other_sites_may_not_read_answers(name: str) -> None:
    """No header lets a browser hand an answer to a page from elsewhere."""
    app = workbench.deploy(_application(), name=name)
    evil = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    answers = [httpx.get(app.url, headers=evil), httpx.options(app.url, headers=evil)]

    assert answers[0].json() == "hello"
    for each in answers:
        assert not [header for header in each.headers if header.startswith("access-control-")]
