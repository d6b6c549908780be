"""Bodies of requests: what is too large is refused, whether it says its size or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import Body, FastAPI
from starlette.testclient import TestClient

from workbench.replica import bodies
from workbench.replica.asgi import Ingress, Lifespan
from workbench.replica.failures import Failures
from workbench.replica.figures import Figures

LIMIT = 1000


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Of an application that says how many bytes came."""
    monkeypatch.setattr(bodies, "LIMIT_BYTES", LIMIT)
    api = FastAPI()

    @api.post("/size")
    def size(content: bytes = Body(media_type="application/octet-stream")) -> int:
        return len(content)

    return TestClient(Ingress(Failures(), lambda: (api, Lifespan(api), ""), [], Figures()))


def pieces(size: int) -> Iterator[bytes]:
    """A body of that size that comes in chunks."""
    for _ in range(size // 100):
        yield bytes(100)


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 100, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused(
    client: TestClient, size: int, status: int, chunked: bool
) -> None:
    """With or without its length in a header."""
    answer = client.post("/size", content=pieces(size) if chunked else bytes(size))

    assert answer.status_code == status
    if status == 200:
        assert answer.json() == size
