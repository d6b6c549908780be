"""Whoever has no token: every port that other machines could reach refuses them."""

from __future__ import annotations

import grpc
import httpx
import psutil
import pytest
from fastapi import FastAPI

import workbench
from workbench.adapters import cluster as ray_cluster
from workbench.adapters import processes

pytestmark = pytest.mark.ray

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
# What a stranger would ask for: who is there, and to have code run.
METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVPut",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.serve.ASGIService/HandleRequest",
)
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}


def _listeners() -> dict[int, tuple[str, str]]:
    """Process and address of every port at which the cluster listens."""
    head, found = ray_cluster.known_head(), {}
    assert head is not None
    for process in processes.marked(head.cluster_id):
        for each in process.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN:
                found[each.laddr.port] = process.name(), each.laddr.ip
    return found


def _answer(port: int, method: str) -> grpc.StatusCode:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(method)
        try:
            call(b"", timeout=10)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def _application() -> FastAPI:
    api = FastAPI()

    @api.get("/")
    def hello() -> str:
        return "hello"

    return api


def test_every_port_that_others_reach_asks_for_the_token(name: str) -> None:
    """Ray's own, and the replicas' by which deployments call one another."""
    workbench.deploy(_application(), name=name)
    open_to_all = {p: who for p, who in _listeners().items() if who[1] not in LOOPBACK}
    answers = {who: {_answer(port, each) for each in METHODS} for port, who in open_to_all.items()}

    assert any("ray::ServeReplica" in process for process, _ in answers)
    for who, codes in answers.items():
        assert grpc.StatusCode.UNAUTHENTICATED in codes, who
        assert codes <= REFUSED, who


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


def test_pages_of_other_sites_may_not_read_answers(name: str) -> None:
    """No header lets a browser hand an answer to a page from elsewhere."""
    app = workbench.deploy(_application(), name=name)
    evil = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    answers = [httpx.get(app.url, headers=evil), httpx.options(app.url, headers=evil)]

    assert answers[0].json() == "hello"
    for each in answers:
        assert not [header for header in each.headers if header.startswith("access-control-")]
