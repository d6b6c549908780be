"""Addresses of other clusters are read and tried before Ray waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest

from workbench.adapters import address
from workbench.adapters.processes import free_ports
from workbench.errors import ClusterError


@pytest.fixture
def web_server() -> Iterator[str]:
    """Something that listens and is no control store."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def grpc_server() -> Iterator[str]:
    """What a control store looks like from outside."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(
    "bad", ["", "10.0.0.7", ":6379", "host:", "host:x", "h:70000", "local", 6379]
)
def test_what_is_no_address_is_refused(bad: object) -> None:
    """With the form that is expected."""
    with pytest.raises(ClusterError, match=r"it is no host:port\nhelp: such as '10\.0\.0\.7:6379'"):
        address.reachable(bad)  # type: ignore[arg-type]


def test_client_addresses_are_refused() -> None:
    """A kernel needs shared memory with a node; Ray's client has none."""
    with pytest.raises(ClusterError, match=r"ray://h:10001: it is a URL; .* not supported"):
        address.reachable("ray://h:10001")


def test_a_closed_port_is_said() -> None:
    """With the system's own word for it."""
    [port] = free_ports(1)

    with pytest.raises(
        ClusterError, match=f"cannot attach to 127.0.0.1:{port}: Connection refused"
    ):
        address.reachable(f"127.0.0.1:{port}")


def test_a_host_without_an_address_is_said() -> None:
    """A mistyped name is no reason to wait."""
    with pytest.raises(ClusterError, match=r"cannot attach to nowhere\.invalid:6379: "):
        address.reachable("nowhere.invalid:6379")


def test_what_is_no_control_store_is_said(web_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of an ingress or of the dashboard is easily mistaken for the address."""
    monkeypatch.setattr(address, "TIMEOUT_S", 1)

    with pytest.raises(ClusterError, match="what listens there is no Ray control store"):
        address.reachable(web_server)


def test_an_address_that_answers_is_given_back(
    grpc_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And "auto" means the address in Ray's own variable, or Ray's own search."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address.reachable("auto") == "auto"

    monkeypatch.setenv("RAY_ADDRESS", grpc_server)
    assert address.reachable("auto") == address.reachable(grpc_server) == grpc_server
