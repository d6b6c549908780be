"""An ingress behind the path of a Jupyter server, by jupyter-server-proxy."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from workbench.adapters import jupyter
from workbench.replica.asgi import Ingress, Lifespan
from workbench.replica.failures import Failures
from workbench.replica.figures import Figures

PREFIX = "/user/ada/proxy/8000"


def answer(path: str, prefix: str = "") -> httpx.Response:
    """What the ingress of an application at /rag answers."""
    app = FastAPI()

    @app.get("/where")
    def where(request: Request) -> Any:
        return str(request.url_for("where").path)

    ingress = Ingress(Failures(), lambda: (app, Lifespan(app), ""), [], Figures())
    headers = {"x-forwarded-context": prefix} if prefix else {}

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(ingress, root_path="/rag")
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_the_documentation_finds_its_document_behind_a_prefix() -> None:
    """The page names an address that leads through the same server."""
    assert f"{PREFIX}/rag/openapi.json" in answer("/rag/docs", PREFIX).text
    assert answer("/rag/openapi.json", PREFIX).json()["servers"] == [{"url": f"{PREFIX}/rag"}]


def test_routes_are_found_with_and_without_a_prefix() -> None:
    """The same service answers on this machine and through a Jupyter server."""
    assert answer("/rag/where").json() == "/rag/where"
    assert answer("/rag/where", PREFIX).json() == f"{PREFIX}/rag/where"


@pytest.mark.parametrize("prefix", ["'><script>", "no slash", "/a b", "//evil"])
def test_what_is_no_path_is_not_written_into_pages(prefix: str) -> None:
    """Anybody may send a header."""
    assert prefix not in answer("/rag/docs", prefix).text


def test_links_lead_through_the_jupyter_server() -> None:
    """Relative to its address, so that they work from another machine."""
    assert jupyter.proxied("http://127.0.0.1:8000/rag/docs", "/user/ada/") == f"{PREFIX}/rag/docs"
    assert jupyter.dashboard("/user/ada/") == "/user/ada/ray-dashboard/"
    assert jupyter.proxied("http://127.0.0.1:8000/rag/docs", None) == ""
