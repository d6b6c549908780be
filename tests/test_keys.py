"""The key of an ingress: who is let in, and that nobody sees it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import given
from hypothesis import strategies as st
from ray import serve

import workbench
from workbench.adapters import state
from workbench.replica.keys import admits, digest_of

KEY = "q" * 43
HEADERS = st.sampled_from([b"x-api-key", b"authorization", b"cookie"])


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=60)), max_size=4))
def test_only_the_key_is_admitted(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever else the headers hold."""
    key = KEY.encode()
    carried = any(v in (key, b"Bearer " + key) and n != b"cookie" for n, v in headers)

    assert admits(digest_of(KEY), headers) == carried
    assert admits("", headers)


@pytest.mark.parametrize(
    "header",
    [("x-api-key", KEY), ("authorization", f"Bearer {KEY}"), ("authorization", f"bearer {KEY}")],
)
def test_the_key_is_taken_in_both_headers(header: tuple[str, str]) -> None:
    """As FastAPI's APIKeyHeader and HTTPBearer read it."""
    name, value = header

    assert admits(digest_of(KEY), [(name.encode(), value.encode())])


def test_the_key_is_made_once_and_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kernels have the same."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))

    assert state.ingress_key() == ""
    key = state.ingress_key(make=True)
    assert len(key) >= 43
    assert state.ingress_key(make=True) == state.ingress_key() == key
    assert stat.S_IMODE((tmp_path / state.KEY_FILE).stat().st_mode) == 0o600


def service(word: str) -> FastAPI:
    """Answers with a word, over HTTP and by websocket."""
    api = FastAPI()

    @api.get("/")
    def answer() -> str:
        return word

    @api.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(word)

    return api


SMALL: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}}


@pytest.mark.ray
def test_strangers_are_refused_and_the_application_is_not(name: str, capsys: Any) -> None:
    """The key comes and goes in place, holds through swaps and comes back by rollback."""
    app = workbench.deploy(service("one"), name=name, require_key=True, **SMALL)
    key = state.ingress_key()
    stranger = [
        httpx.get(app.url),
        httpx.get(f"{app.url}/docs"),
        httpx.get(app.url, headers={"x-api-key": "no"}),
    ]
    with (
        pytest.raises(workbench.IngressError, match="refused"),
        app.websocket("/socket", additional_headers={"x-api-key": "no"}),
    ):
        pass
    with app.websocket("/socket") as socket:
        heard = socket.recv()

    assert [each.status_code for each in stranger] == [401] * 3
    assert "X-API-Key" in stranger[0].json()["detail"]
    assert httpx.get(app.url, headers={"Authorization": f"Bearer {key}"}).json() == "one"
    assert (app.get("/").json(), heard) == ("one", "one")
    assert app.call.answer() == "one"

    swapped = workbench.deploy(service("two"), name=name, require_key=True, **SMALL)
    assert (httpx.get(app.url).status_code, swapped.get("/").json()) == (401, "two")
    opened = workbench.plan(service("two"), name=name, **SMALL)
    assert [(each.kind, each.reason) for each in opened.actions] == [
        ("tune", "require_key changed")
    ]
    workbench.deploy(service("two"), name=name, **SMALL)
    assert httpx.get(app.url).json() == "two"
    app.rollback()
    assert (httpx.get(app.url).status_code, app.get("/").json()) == (401, "two")

    shown = capsys.readouterr()
    said = [repr(app), repr(app.status()), repr(app.history()), *app.logs(), shown.out, shown.err]
    assert not any(key in each for each in said)


@pytest.mark.ray
def test_an_ingress_of_its_own_cannot_be_guarded(name: str) -> None:
    """Its requests never meet us, so nothing is promised."""

    @serve.deployment(**SMALL)
    class Own:
        async def __call__(self, request: Any) -> str:
            return "open"

    with pytest.raises(workbench.PlanError, match="own __call__"):
        workbench.deploy(Own.bind(), name=name, require_key=True)
    assert name not in [each.name for each in workbench.apps()]
