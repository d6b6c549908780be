"""The RAG notebook's service: with a Chroma server, and its endpoints' contract."""

from __future__ import annotations

import json
import runpy
import time
from pathlib import Path
from typing import Any

import pytest
from ray import serve

import workbench
from workbench.adapters.processes import free_ports

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parent.parent
DEMO = runpy.run_path(str(ROOT / "notebooks" / "demo.py"))


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """The notebook's service cells, run."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    DEMO["run"](DEMO["service_cells"](), namespace)
    return namespace


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The first forty passages."""
    lines = (ROOT / "data/pydocs/passages.jsonl").read_text().splitlines()[:40]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    return tmp_path / "corpus.jsonl"


@pytest.mark.parametrize("server", [False, True], ids=["embedded", "server"])
def test_search_with_chroma(
    name: str, cells: dict[str, Any], corpus: Path, tmp_path: Path, server: bool
) -> None:
    """The same code searches an embedded index and a Chroma server, and finds a passage itself."""
    process, url = None, None
    if server:
        process, url = cells["start_chroma"](tmp_path / "server", free_ports(1)[0])
        _wait_for(lambda: cells["chroma_client"](None, url).heartbeat())
    try:
        folder = tmp_path / "index"
        assert cells["build_index"](folder, corpus, cells["EMBEDDER"], url) == 40
        search = cells["VectorSearch"].options(num_replicas=1).bind(cells["EMBEDDER"], folder, url)
        app = workbench.deploy(search, name=name)
        text = json.loads(corpus.read_text().splitlines()[7])["text"]

        found = app.handle().search.remote(text, 3).result()
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)

    assert len(found) == 3
    assert set(found[0]) == {"doc", "text", "score"}
    assert found[0]["text"] == text
    assert found[0]["score"] > 0.99


def _wait_for(ready: Any) -> None:
    for _ in range(100):
        try:
            ready()
        except Exception:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the Chroma server did not answer")


def test_the_service_is_plain_ray_serve(cells: dict[str, Any]) -> None:
    """What runs in the notebook runs in production: nothing of ours is in the graph."""
    application = cells["rag"]()

    assert isinstance(application, serve.Application)
    assert not [c for c in DEMO["service_cells"]() if "workbench.deploy" in c]
