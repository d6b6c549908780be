"""What a notebook's cells declare on an application, and what counts after they were run again."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from ray import serve

from workbench.adapters.cells import source_of
from workbench.adapters.ray_serve import ingress_parts
from workbench.core.digests import Units
from workbench.core.units import closure_digest
from workbench.replica.apps import class_based, standalone
from workbench.replica.routes import current, drop_stale, places

START = """
import contextlib
from typing import Any
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
seen = []
app = FastAPI()
"""
CRUD = """
def crud(name):
    router = APIRouter()
    @router.get("/")
    def read(): return name
    @router.get("/{key}")
    def one(key: str): return [name, key]
    @router.websocket("/")
    async def live(socket: WebSocket):
        await socket.accept()
        await socket.send_json(name)
        await socket.close()
    return router
for name in ("users", "orders"):
    app.include_router(crud(name), prefix=f"/{name}")
"""


def ran(*cells: str) -> dict[str, Any]:
    """The names that cells leave, run one after the other in one notebook."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate((START, *cells)):
        exec(compile(cell, f"/tmp/ipykernel_1/{number}.py", "exec", dont_inherit=True), names)
    return names


def answers(app: Any, *paths: str) -> list[Any]:
    """What an application answers, as it does in a replica."""
    client = TestClient(standalone(app), raise_server_exceptions=False)
    found = [client.get(path) for path in paths]
    return [each.json() if each.status_code == 200 else each.status_code for each in found]


def test_a_factory_that_is_included_twice() -> None:
    """Its routes have one name, one path below their prefix, and one place in a file."""
    app = ran(CRUD)["app"]

    assert answers(app, "/users/", "/orders/", "/users/1", "/orders/2") == [
        "users", "orders", ["users", "1"], ["orders", "2"],
    ]  # fmt: skip
    with TestClient(app).websocket_connect("/orders/") as socket:
        assert socket.receive_json() == "orders"


def test_its_cell_run_again_counts_alone() -> None:
    """Run again with another text, every route of it answers anew, and none is there twice."""
    app = ran(CRUD, CRUD.replace("return name", "return name.upper()", 1))["app"]

    assert answers(app, "/users/", "/orders/", "/users/1") == ["USERS", "ORDERS", ["users", "1"]]
    assert len(current(app)) == len(FastAPI().routes) + 6 == len(places(app))


def test_routes_of_two_files_with_one_name() -> None:
    """Two modules may both call their function `index`."""
    made = ran("routers = []")
    for name in ("users", "orders"):
        module = ModuleType(name)
        exec(
            "from fastapi import APIRouter\nrouter = APIRouter()\n"
            f"@router.get('/')\ndef index(): return {name!r}\n"
            f"@router.get('/{name}')\ndef mine(): return {name!r}\n",
            vars(module),
        )
        made["app"].include_router(module.router, prefix=f"/{name}")
        made["app"].include_router(module.router, prefix="/all")

    app = made["app"]

    assert answers(app, "/users/", "/orders/", "/all/users", "/all/orders", "/all/") == [
        *("users", "orders"), *("users", "orders"), "users",
    ]  # fmt: skip


NESTED = """
inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
@inner.get("/")
def read(): return "inner"
outer.include_router(inner, prefix="/v1")
outer.include_router(inner, prefix="/v2")
app.include_router(outer)
app.include_router(inner)
"""


def test_a_router_in_a_router_and_under_several_prefixes() -> None:
    """One router may be included often; each of its paths stays."""
    paths = ("/outer/v1/inner/", "/outer/v2/inner/", "/inner/")
    again = NESTED.replace('return "inner"', 'return "new"')

    assert answers(ran(NESTED)["app"], *paths) == ["inner"] * 3
    assert answers(ran(NESTED, again)["app"], *paths) == ["new"] * 3


def test_the_newest_takes_the_place_of_the_first() -> None:
    """Routes are tried in order: what was declared before another one stays before it."""
    me = "@app.get('/users/me')\ndef me(): return 'me'\n"
    one = "@app.get('/users/{key}')\ndef one(key: int): return key\n"
    included = (
        "r = APIRouter()\n@r.get('/users/me')\ndef me(): return 'me'\napp.include_router(r)\n"
    )

    assert answers(ran(me, one, me.replace("'me'\n", "'you'\n"))["app"], "/users/me") == ["you"]
    again = ran(included, one, included.replace("'me'\n", "'you'\n"))["app"]
    assert answers(again, "/users/me", "/users/1") == ["you", 1]


def test_only_the_router_s_cell_or_only_the_include_s_run_again() -> None:
    """Either way what the cells say now is what is answered."""
    router = "r = APIRouter()\n@r.get('/a')\ndef a(): return 1\n"
    route = "@r.get('/b')\ndef b(): return 1\n"
    include = "app.include_router(r, prefix='/x')\n"

    edited = ran(router, route, include, route.replace("1", "2"))["app"]
    assert answers(edited, "/x/a", "/x/b") == [1, 2]
    guarded = "def no(): raise HTTPException(403)\n" + include.replace(
        ")", ", dependencies=[Depends(no)])"
    )
    assert answers(ran(router, route, include, guarded)["app"], "/x/a") == [403]
    both = ran(router, route, include, router.replace("1", "3"), route.replace("1", "4"), include)
    assert answers(both["app"], "/x/a", "/x/b") == [3, 4]


def test_mounts_and_hosts() -> None:
    """An application inside the application, its cell or its own routes run again."""
    mount = "sub = FastAPI()\n@sub.get('/')\ndef root(): return 1\napp.mount('/sub', sub)\n"
    other = "two = FastAPI()\n@two.get('/')\ndef root(): return 'two'\napp.mount('/two', two)\n"
    route = "@sub.get('/')\ndef root(): return 3\n"
    host = "at = FastAPI()\n@at.get('/')\ndef root(): return 'host'\napp.host('a.b', at)\n"

    assert answers(ran(mount, other)["app"], "/sub/", "/two/") == [1, "two"]
    again = mount.replace("1", "2")
    assert answers(ran(mount, other, again)["app"], "/sub/", "/two/") == [2, "two"]
    assert answers(ran(mount, other, route)["app"], "/sub/", "/two/") == [3, "two"]
    app = standalone(ran(mount, host, host.replace("'host'", "'again'"))["app"])
    assert TestClient(app, base_url="http://a.b").get("/").json() == "again"
    assert len(app.routes) == len(FastAPI().routes) + 2


def test_a_websocket_and_a_page_of_one_path_and_name() -> None:
    """They differ in kind."""
    page = "@app.get('/x')\ndef x(): return 1\n"
    accepts = "async def x(socket: WebSocket):\n    await socket.accept()\n"
    socket = f"@app.websocket('/x')\n{accepts}    await socket.close()\n"
    app = ran(page, socket, page.replace("1", "2"))["app"]

    assert answers(app, "/x") == [2]
    with TestClient(app).websocket_connect("/x"):
        pass


def test_verbs_of_one_function() -> None:
    """One function may answer several verbs, and each of them stays."""
    app = ran("@app.get('/x')\n@app.post('/x')\ndef x(): return 1\n")["app"]

    assert answers(app, "/x") == [1]
    assert TestClient(standalone(app)).post("/x").json() == 1


MIDDLEWARE = """
@app.middleware("http")
async def count(request: Request, call_next: Any):
    seen.append(1)
    return await call_next(request)
"""
ROOT = "@app.get('/')\ndef root(): return len(seen)\n"


def test_a_middleware_s_cell_run_again() -> None:
    """It runs once for a request, in its newest form."""
    app = ran(ROOT, MIDDLEWARE, MIDDLEWARE, MIDDLEWARE.replace("1", "7"))["app"]

    assert answers(app, "/", "/") == [1, 2]


def test_a_middleware_of_the_notebook_s_own_class() -> None:
    """The class is another one when its cell was run again, but the same middleware."""
    cls = """
class Counting:
    def __init__(self, app, weight): self.app, self.weight = app, weight
    async def __call__(self, scope, receive, send):
        seen.extend([1] * self.weight)
        await self.app(scope, receive, send)
app.add_middleware(Counting, weight=2)
"""
    assert answers(ran(ROOT, cls, cls)["app"], "/") == [2]


def test_a_middleware_that_is_meant_twice() -> None:
    """With other options, or made by a factory with other variables, it is another one."""
    twice = """
def counting(n):
    async def count(request: Request, call_next: Any):
        seen.extend([1] * n)
        return await call_next(request)
    return count
app.middleware("http")(counting(2))
app.middleware("http")(counting(3))
app.add_middleware(GZipMiddleware, minimum_size=10)
app.add_middleware(GZipMiddleware, minimum_size=20)
"""
    app = ran(ROOT, twice, twice)["app"]

    assert answers(app, "/") == [5]
    assert len(app.user_middleware) == 4


def test_the_order_of_middlewares_stays() -> None:
    """The one that was added last is the outermost, also when the first one's cell ran again."""
    one = MIDDLEWARE.replace("count", "one").replace("append(1)", "append('one')")
    two = MIDDLEWARE.replace("count", "two").replace("append(1)", "append('two')")
    app = ran("@app.get('/')\ndef root(): return seen\n", one, two, one)["app"]

    assert answers(app, "/") == [["two", "one"]]


def test_an_exception_handler_s_cell_run_again() -> None:
    """The newest answers, also for a class of exceptions that was defined again."""
    cell = """
class Refused(Exception): pass
@app.exception_handler(Refused)
async def refused(request, error): return JSONResponse("old")
@app.get("/")
def root(): raise Refused
"""
    assert answers(ran(cell, cell.replace("old", "new"))["app"], "/") == ["new"]


@pytest.mark.filterwarnings("ignore:.*on_event is deprecated.*")
def test_start_ups_run_once() -> None:
    """Handlers of events, and those of a router that is included again."""
    event = "@app.on_event('startup')\ndef load(): seen.append('app')\n"
    router = """
r = APIRouter()
@r.on_event("startup")
def prepare(): seen.append("router")
@r.get("/r")
def of_router(): return seen
app.include_router(r)
"""
    once, again = ran(event, router), ran(event, router, event, router, event)
    for made in (once, again):
        with TestClient(standalone(made["app"])):
            pass

    assert again["seen"] == once["seen"] != []


def test_a_lifespan_of_a_router_that_is_included_again() -> None:
    """Each `include_router` wraps the start-up that is there once more."""
    cell = """
@contextlib.asynccontextmanager
async def lifespan(app):
    seen.append("up")
    yield {"n": len(seen)}
    seen.append("down")
r = APIRouter(lifespan=lifespan)
@r.get("/n")
def n(request: Request): return request.state.n
app.include_router(r)
app.include_router(APIRouter())
"""
    made = ran(cell, cell, cell)
    with TestClient(standalone(made["app"])) as client:
        assert client.get("/n").json() == 1

    assert made["seen"] == ["up", "down"]


CLASS = """
class Service:
    @app.get("/")
    def root(self): return 1
    @app.get("/{key}")
    def one(self, key: int): return key
"""


def test_a_class_s_cell_run_again_on_the_same_application() -> None:
    """Its routes, and nothing that `@serve.ingress` left of its earlier runs."""
    made = ran(CLASS)
    first = ingress_parts(serve.ingress(made["app"])(made["Service"]))
    for n in (2, 3):
        exec(compile(CLASS.replace("return 1", f"return {n}"), f"/tmp/{n}.py", "exec"), made)
        own, app = ingress_parts(serve.ingress(made["app"])(made["Service"]))

    client = TestClient(class_based(copy.copy(app), own()))

    assert [client.get("/").json(), client.get("/4").json()] == [3, 4]
    drop_stale(first[1], first[0])
    assert len(app.routes) == len(first[1].routes)
    assert type(app.router.lifespan_context).__name__ == "_DefaultLifespan"


def test_a_history_shows_what_counts() -> None:
    """The source of an application is that of the routes which answer."""
    made = ran(CRUD, "@app.get('/x')\ndef x(): return 1\n")

    drop_stale(made["app"])

    assert [route.endpoint.__name__ for route in current(made["app"])][-1] == "x"
    assert source_of(made["app"]) == ""  # cells of this test have no text that could be shown


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("app.host('a.b', sub(1))", "app.host('a.b', sub(2))"),
        ("app.mount('/x', sub(1))", "app.mount('/x', sub(2))"),
        ("app.mount('/x', files('a'))", "app.mount('/x', files('b'))"),
        ("app.frontend('/', directory='a', check_dir=False)",
         "app.frontend('/', directory='b', check_dir=False)"),
        ("app.frontend('/', directory='a', check_dir=False, fallback='index.html')",
         "app.frontend('/', directory='a', check_dir=False, fallback='404.html')"),
    ],
)  # fmt: skip
def test_what_stands_inside_an_application_is_compared(before: str, after: str) -> None:
    """An edit of an application, folder or page that another one holds is an edit."""
    inside = """
from fastapi.staticfiles import StaticFiles
def files(folder): return StaticFiles(directory=folder, check_dir=False)
def sub(n):
    inner = FastAPI()
    @inner.get("/")
    def root(): return n
    return inner
"""
    once, again, edited = (
        closure_digest([Units().of(ran(inside, cell)["app"])]) for cell in (before, before, after)
    )

    assert once == again != edited


@pytest.mark.parametrize("cls", [None, type("Model", (), {})])
def test_an_application_without_routes_is_left_as_it_is(cls: type | None) -> None:
    """`@serve.ingress` takes a builder of any ASGI application: a function, Gradio's, a mount."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None: ...

    drop_stale(asgi, cls)

    assert places(asgi) == []
