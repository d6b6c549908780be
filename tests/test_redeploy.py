"""Changing what runs: swap, replace, tune, undo and go back, on a real cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import workbench
from tests import waiting
from workbench.adapters import ray_serve

from .notebook import Load, Notebook

pytestmark = pytest.mark.ray
wait_for = partial(waiting.until, timeout_s=30.0)

SERVICE = """
import asyncio, os, time
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from ray import serve

PROMPT = "one"
SEEN = []
api = FastAPI()

@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=16)
@serve.ingress(api)
class Service:
    total = 0

    def __init__(self, size=3):
        self.weights = list(range(size))
        self.asked = 0

    def words(self):
        return PROMPT

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.01)
    async def batched(self, xs):
        return [x * 10 for x in xs]

    @api.get("/answer")
    async def answer(self):
        self.asked += 1
        type(self).total += 1
        SEEN.append(self.asked)
        return {"says": self.words(), "pid": os.getpid(), "asked": self.asked, "seen": len(SEEN),
                "total": self.total, "size": len(self.weights), "ten": await self.batched(1)}

    @api.get("/slow")
    async def slow(self, seconds: float):
        before = self.words()
        await asyncio.sleep(seconds)
        return [before, self.words()]

    @api.get("/stream")
    def stream(self):
        def parts():
            for _ in range(10):
                yield self.words()
                time.sleep(0.1)
        return StreamingResponse(parts(), media_type="text/plain")
"""


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A notebook whose namespace is `__main__`, as a kernel's is."""
    made = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", made.module)
    return made


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The name of one service for many tests; each begins by deploying it as its cell stands."""
    yield "service"
    workbench.delete("service")


def serving(app: Any) -> int:
    """Number of the revision that serves."""
    number = app.history().serving
    assert number is not None
    return int(number)


def deployed(book: Notebook, name: str, edit: tuple[str, str] | None = None, **how: Any) -> Any:
    """Run the cell, perhaps edited, and deploy its class."""
    text = SERVICE if edit is None else SERVICE.replace(*edit)
    assert edit is None or text != SERVICE
    return workbench.deploy(book.run(text)["Service"], name=name, **how)


def kinds(name: str, book: Notebook, edit: tuple[str, str] | None = None) -> list[str]:
    """What deploying the edited cell would do."""
    text = SERVICE if edit is None else SERVICE.replace(*edit)
    return [a.kind for a in workbench.plan(book.run(text)["Service"], name=name).actions]


def every_replica(app: Any, count: int, path: str = "/answer") -> dict[int, Any]:
    """The newest answer of each of `count` replicas, by process id."""
    found: dict[int, Any] = {}
    until = time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        answer = app.get(path).json()
        found[answer["pid"]] = answer
    assert len(found) == count
    return found


def test_a_swap_keeps_processes_state_and_data(service: str, book: Notebook) -> None:
    """New code in the same processes: attributes, class variables and globals live on."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    with Load(app, clients=2) as load:
        deployed(book, service, ('PROMPT = "one"', 'PROMPT = "two"'))
        returned = time.monotonic()
    after = every_replica(app, 2)

    assert not load.failed
    assert {a["says"] for a in load.begun_after(returned)} == {"two"}
    assert set(after) == set(before)
    for pid, answer in after.items():
        assert answer["asked"] > before[pid]["asked"]
        assert answer["asked"] == answer["seen"]
        assert answer["total"] > before[pid]["total"]
        assert (answer["size"], answer["ten"]) == (3, 10)


def test_a_cell_that_is_run_again_unchanged_keeps_everything(service: str, book: Notebook) -> None:
    """Also with comments, also in another namespace."""
    app = deployed(book, service)
    before = every_replica(app, 2)

    assert kinds(service, Notebook()) == ["keep"]
    workbench.deploy(book.run("# a comment\n" + SERVICE)["Service"], name=service)
    assert set(every_replica(app, 2)) == set(before)


def test_a_global_of_another_cell_is_an_edit_too(service: str, book: Notebook) -> None:
    """Only the cell with the prompt is run again, then the one that deploys."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    book.run('PROMPT = "elsewhere"')
    workbench.deploy(book.names["Service"], name=service)
    after = every_replica(app, 2)

    assert {a["says"] for a in after.values()} == {"elsewhere"}
    assert set(after) == set(before)


def test_an_edit_that_is_taken_back_is_one_more_swap(service: str, book: Notebook) -> None:
    """Code that ran before, from another run of its cell, answers on every route again."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    deployed(book, service, ('"one"', '"two"'))
    deployed(book, service)
    after = every_replica(app, 2)

    assert {a["says"] for a in after.values()} == {"one"}
    assert set(after) == set(before)
    assert all(a["asked"] == a["seen"] > before[pid]["seen"] for pid, a in after.items())


def test_requests_in_flight_finish_on_the_code_they_began_with(
    service: str, book: Notebook
) -> None:
    """A slow answer and a stream say one thing from beginning to end."""
    app = deployed(book, service)
    got: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda: got.update(slow=app.get("/slow?seconds=2").json())),
        threading.Thread(target=lambda: got.update(stream="".join(app.stream("/stream")))),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    deployed(book, service, ("return PROMPT", "return 'new'"))
    assert app.get("/answer").json()["says"] == "new"
    for thread in threads:
        thread.join()

    assert got == {"slow": ["one", "one"], "stream": "one" * 10}


def test_a_swap_does_not_wait_for_busy_slots(service: str, book: Notebook) -> None:
    """New code takes no request's place, so full replicas take it at once."""
    cell = SERVICE.replace("max_ongoing_requests=16", "max_ongoing_requests=2")
    app = workbench.deploy(book.run(cell)["Service"], name=service)
    threads = [
        threading.Thread(target=lambda: app.get("/slow?seconds=8", timeout=60)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    workbench.deploy(book.run(cell.replace('"one"', '"busy"'))["Service"], name=service)

    assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    assert app.get("/answer").json()["says"] == "busy"


def test_an_edit_of_the_constructor_replaces_beside(service: str, book: Notebook) -> None:
    """New processes take over when they are ready; nothing fails meanwhile."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    with Load(app) as load:
        deployed(book, service, ("list(range(size))", "list(range(size + 1))"))
        returned = time.monotonic()
    after = every_replica(app, 2)

    assert not load.failed
    assert not set(after) & set(before)
    assert {a["size"] for a in load.begun_after(returned)} == {4}


def test_options_are_tuned_in_place(service: str, book: Notebook) -> None:
    """More replicas come up on the newest code; those that run go on."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    deployed(book, service, ('"one"', '"two"'))
    cell = SERVICE.replace('"one"', '"two"').replace("num_replicas=2", "num_replicas=3")
    workbench.deploy(book.run(cell)["Service"], name=service)
    after = every_replica(app, 3)

    assert set(before) < set(after)
    assert {a["says"] for a in after.values()} == {"two"}


def test_a_replica_that_starts_later_has_the_newest_code(service: str, book: Notebook) -> None:
    """Killed right after a swap, it comes back on what was swapped in."""
    app = deployed(book, service)
    victim = app.get("/answer").json()["pid"]
    deployed(book, service, ('"one"', '"two"'))
    os.kill(victim, signal.SIGKILL)
    with Load(app) as load:
        wait_for(lambda: victim not in every_replica(app, 2))
        time.sleep(1)

    assert {a["says"] for _, status, a in load.answers if status == 200} == {"two"}


def test_the_store_may_die(service: str, book: Notebook) -> None:
    """Replicas tell the new one what they run; swaps go on, and so do late replicas."""
    import ray

    from workbench.replica.link import find_store

    app = deployed(book, service)
    before = every_replica(app, 2)
    deployed(book, service, ('"one"', '"two"'))
    ray.kill(find_store(), no_restart=False)
    deployed(book, service, ('"one"', '"three"'))
    after = every_replica(app, 2)

    assert {a["says"] for a in after.values()} == {"three"}
    assert set(after) == set(before)


def test_a_swap_that_one_replica_refuses_is_undone_everywhere(service: str, book: Notebook) -> None:
    """Nothing changes unless all can; the error is the replica's own."""
    app = deployed(book, service)
    first, before = serving(app), every_replica(app, 2)
    middleware = 'api.add_middleware(dict, nothing="of the kind")\n\n@serve.deployment'
    with pytest.raises(workbench.DeployError, match="not iterable") as caught:
        deployed(book, service, ("@serve.deployment", middleware))

    assert caught.value.serving == first
    assert "uvloop" not in caught.value.reason
    after = every_replica(app, 2)
    assert {a["says"] for a in after.values()} == {"one"}
    assert set(after) == set(before)
    deployed(book, service, ('"one"', '"two"'))
    assert app.get("/answer").json()["says"] == "two"


BROKEN = {
    "raises": ("self.asked = 0", "self.asked = 1 / 0"),
    "imports": ("self.asked = 0", "import nowhere"),
    "unhealthy": (
        "    def words(self)",
        "    def check_health(self):\n        raise ValueError('ill')\n\n    def words(self)",
    ),
}


@pytest.mark.parametrize(("how", "times"), [("raises", 2), ("imports", 1), ("unhealthy", 1)])
def test_broken_code_is_undone_and_a_retry_really_retries(
    service: str, book: Notebook, how: str, times: int
) -> None:
    """The last good revision serves, without a failed request; the same again is tried again."""
    app = deployed(book, service)
    first, before = serving(app), every_replica(app, 2)
    with Load(app) as load:
        for _ in range(times):
            with pytest.raises(workbench.DeployError) as caught:
                deployed(book, service, BROKEN[how])
    after = every_replica(app, 2)

    assert caught.value.serving == first
    assert caught.value.revision == first + times
    assert not load.failed
    assert set(after) == set(before)


GRAPH = """
import os
from fastapi import FastAPI
from ray import serve

LIGHT = {"num_cpus": 0.1}
api = FastAPI()

@serve.deployment(ray_actor_options=LIGHT)
class Model:
    def __init__(self):
        self.pid = os.getpid()

    async def generate(self, text):
        return f"model({text})", self.pid

@serve.deployment(ray_actor_options=LIGHT)
class Filter:
    async def clean(self, text):
        return f"filtered({text})", os.getpid()

@serve.deployment(ray_actor_options=LIGHT)
@serve.ingress(api)
class Gateway:
    def __init__(self, model, filter):
        self.model, self.filter = model, filter

    @api.get("/answer")
    async def answer(self):
        text, model = await self.model.generate.remote("prompt")
        text, filter = await self.filter.clean.remote(text)
        return {"text": text, "pids": [model, filter, os.getpid()]}

app = Gateway.bind(Model.bind(), Filter.bind())
"""


def test_only_what_changed_in_a_graph_is_changed(name: str, book: Notebook) -> None:
    """An edit of each part leaves the processes of the others alone."""

    def deploy(*edits: tuple[str, str]) -> tuple[dict[str, str], Any]:
        text = GRAPH
        for edit in edits:
            text = text.replace(*edit)
        target = book.run(text)["app"]
        plan = workbench.plan(target, name=name)
        app = workbench.deploy(target, name=name)
        return {a.deployment: a.kind for a in plan.actions}, app.get("/answer").json()

    _, first = deploy()
    gateway = ('"prompt"', '"question"')
    swapped, second = deploy(gateway)
    model = ("self.pid = os.getpid()", "self.pid = int(os.getpid())")
    filtered = ("filtered(", "tidied(")
    mixed, third = deploy(gateway, model, filtered)

    assert swapped == {"Model": "keep", "Filter": "keep", "Gateway": "swap"}
    assert (second["text"], second["pids"]) == ("filtered(model(question))", first["pids"])
    assert mixed == {"Model": "replace", "Filter": "swap", "Gateway": "keep"}
    assert third["text"] == "tidied(model(question))"
    assert third["pids"][1:] == first["pids"][1:]
    assert third["pids"][0] != first["pids"][0]


def test_a_mixed_change_that_fails_is_undone_whole(name: str, book: Notebook) -> None:
    """What was swapped already is swapped back."""
    app = workbench.deploy(book.run(GRAPH)["app"], name=name)
    first = app.get("/answer").json()
    broken = GRAPH.replace("filtered(", "tidied(").replace(
        "self.model, self.filter = model, filter", "self.model, self.filter = model, filter / 0"
    )
    with pytest.raises(workbench.DeployError, match="unsupported operand"):
        workbench.deploy(book.run(broken)["app"], name=name)

    assert app.get("/answer").json() == first


def test_history_diff_and_rollback(service: str, book: Notebook) -> None:
    """Every revision is kept; going back is a swap where it can be one."""
    app = deployed(book, service, note="first")
    first, before = serving(app), every_replica(app, 2)
    deployed(book, service, ('"one"', '"two"'), note="second")
    with pytest.raises(workbench.DeployError):
        deployed(book, service, BROKEN["raises"])
    app = workbench.connect(service)
    app.rollback()
    after = every_replica(app, 2)

    assert {a["says"] for a in after.values()} == {"one"}
    assert set(after) == set(before)
    past = app.history()[-4:]
    assert [r.outcome for r in past] == ["served", "served", "failed", "served"]
    assert [r.number for r in past] == list(range(first, first + 4))
    assert past[-1].note == f"back to revision {first}"
    assert "ZeroDivisionError" in past[2].reason
    with pytest.raises(workbench.PlanError, match=rf"revision {first + 2} .* never served"):
        app.rollback(to=first + 2)
    with pytest.raises(workbench.PlanError, match="no revision 999"):
        app.rollback(to=999)
    assert app.rollback(to=first + 1).get("/answer").json()["says"] == "two"


def test_a_diff_shows_the_edit(service: str, book: Notebook) -> None:
    """Source of the deployment that changed, as written in its cell."""
    first = serving(deployed(book, service))
    app = deployed(book, service, ("x * 10", "x * 20"))

    assert "-        return [x * 10 for x in xs]" in str(app.diff())
    assert "+        return [x * 20 for x in xs]" in str(app.diff(first, first + 1))
    with pytest.raises(workbench.PlanError, match="no revision 999"):
        app.diff(first, 999)


def test_a_forced_swap_is_refused_when_unsound(service: str, book: Notebook) -> None:
    """With the reason; `replace` gives new processes to what did not change."""
    app = deployed(book, service)
    before = every_replica(app, 2)

    with pytest.raises(workbench.PlanError, match="`__init__` changed, which its state depends"):
        deployed(book, service, ("list(range(size))", "tuple(range(size))"), mode="swap")
    deployed(book, service, mode="replace")
    assert not set(every_replica(app, 2)) & set(before)


def test_a_functions_globals_keep_what_they_gathered(name: str, book: Notebook) -> None:
    """A function has no other state than its globals."""
    cell = (
        "CACHE = {}\ndef ask(word: str) -> list:\n    CACHE[word] = 1\n    return ['v1', *CACHE]\n"
    )
    light = {"ray_actor_options": {"num_cpus": 0.1}}
    app = workbench.deploy(book.run(cell)["ask"], name=name, **light)
    app.post("/", json={"word": "a"})
    workbench.deploy(book.run(cell.replace("v1", "v2"))["ask"], name=name, **light)

    assert app.post("/", json={"word": "b"}).json() == ["v2", "a", "b"]


PLAIN = """
from contextlib import asynccontextmanager
from fastapi import Depends, FastAPI, Request, WebSocket
from pydantic import BaseModel

MODELS = {}
STARTS = 0

class Question(BaseModel):
    text: str

def who() -> str:
    return "somebody"

@asynccontextmanager
async def lifespan(app):
    global STARTS
    STARTS += 1
    MODELS["weights"] = object()
    app.state.started = id(MODELS["weights"])
    yield {"greeting": "hello"}

api = FastAPI(lifespan=lifespan)

@api.middleware("http")
async def header(request, call_next):
    response = await call_next(request)
    response.headers["x-version"] = "v1"
    return response

@api.post("/ask")
def ask(question: Question, request: Request, user: str = Depends(who)):
    same = request.app.state.started == id(MODELS["weights"])
    return {"text": question.text, "user": user, "starts": STARTS,
            "greeting": request.state.greeting, "same": same}

@api.websocket("/talk")
async def talk(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"v1 {text}")
"""


def test_a_plain_fastapi_app_is_swapped_whole(name: str, book: Notebook) -> None:
    """Routes, models, dependencies, middleware, sockets; what its lifespan made stays."""
    light = {"ray_actor_options": {"num_cpus": 0.1}}
    app = workbench.deploy(book.run(PLAIN)["api"], name=name, **light)
    with app.websocket("/talk") as socket:
        edited = PLAIN.replace('"v1"', '"v2"').replace("v1 {text}", "v2 {text}")
        edited = edited.replace("text: str\n", "text: str\n    tone: str = 'dry'\n")
        edited = edited.replace('"somebody"', '"nobody"').replace('"/ask"', '"/query"')
        target = book.run(edited.replace('{"text"', '{"tone": question.tone, "text"'))["api"]
        assert workbench.plan(target, name=name, **light).of("swap") == ["FastAPI"]
        workbench.deploy(target, name=name, **light)
        socket.send("old")
        assert socket.recv() == "v1 old"
    response = app.post("/query", json={"text": "hi"})

    assert response.headers["x-version"] == "v2"
    assert response.json() == {
        **{"tone": "dry", "text": "hi", "user": "nobody"},
        **{"starts": 1, "greeting": "hello", "same": True},
    }
    assert app.post("/ask", json={"text": "hi"}).status_code == 404
    assert "/query" in str(app.get("/openapi.json").json())
    with app.websocket("/talk") as socket:
        socket.send("new")
        assert socket.recv() == "v2 new"


def test_user_config_is_applied_in_place(name: str, book: Notebook) -> None:
    """A configuration that is refused is taken back, and the old one applied again."""
    cell = SERVICE.replace("self.asked = 0", "self.asked = 0; self.config = None").replace(
        "    def words(self):\n        return PROMPT",
        "    def reconfigure(self, config):\n"
        "        self.config = 1 / config['by']\n\n"
        "    def words(self):\n        return self.config",
    )
    service = book.run(cell)["Service"]
    app = workbench.deploy(service.options(user_config={"by": 2}), name=name)
    before = every_replica(app, 2)
    workbench.deploy(service.options(user_config={"by": 4}), name=name)
    tuned = every_replica(app, 2)
    with pytest.raises(workbench.DeployError, match="ZeroDivisionError"):
        workbench.deploy(service.options(user_config={"by": 0}), name=name)
    after = every_replica(app, 2)

    assert {a["says"] for a in before.values()} == {0.5}
    assert {a["says"] for a in tuned.values()} == {a["says"] for a in after.values()} == {0.25}
    assert set(before) == set(tuned) == set(after)


KERNEL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path.insert(0, {root!r})
import workbench
from tests.notebook import Notebook
from tests.test_redeploy import SERVICE
text = SERVICE.replace(*{edit!r})
try:
    workbench.deploy(Notebook().run(text)["Service"], name={name!r})
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
print("DONE", flush=True)
"""


def other_kernel(name: str, edit: tuple[str, str]) -> subprocess.Popen[str]:
    """Another process that deploys the edited cell."""
    root = str(Path(__file__).parent.parent)
    code = KERNEL.format(root=root, name=name, edit=edit)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


SLOW = ("self.asked = 0", "self.asked = 0; time.sleep(12)")


def starting(name: str) -> bool:
    """Whether new replicas start beside the two that run."""
    return len(ray_serve.details()[name]["deployments"]["Service"]["replicas"]) > 2


def test_an_interrupted_cell_is_undone(service: str, book: Notebook) -> None:
    """Ctrl-C half-way: the last good revision serves, and the cell ends."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    kernel = other_kernel(service, SLOW)
    wait_for(lambda: starting(service), timeout_s=60)
    kernel.send_signal(signal.SIGINT)
    said, _ = kernel.communicate(timeout=90)

    assert "INTERRUPTED" in said, said
    assert set(every_replica(app, 2)) == set(before)
    assert app.history()[-1].outcome == "interrupted"


def test_a_kernel_that_dies_half_way_is_undone(service: str, book: Notebook) -> None:
    """Nobody is left to say whether the new code is good, so the old one stays."""
    app = deployed(book, service)
    before = every_replica(app, 2)
    kernel = other_kernel(service, SLOW)
    wait_for(lambda: starting(service), timeout_s=60)
    kernel.kill()
    kernel.communicate()
    wait_for(lambda: not starting(service), timeout_s=60)
    time.sleep(2)

    assert set(every_replica(app, 2)) == set(before)
    deployed(book, service, ('"one"', '"two"'))
    assert app.get("/answer").json()["says"] == "two"


def test_two_kernels_take_turns(
    service: str, book: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second waits, and is told for whom."""
    app = deployed(book, service)
    kernel = other_kernel(service, ("self.asked = 0", "self.asked = 0; time.sleep(4)"))
    wait_for(lambda: starting(service), timeout_s=60)
    deployed(book, service, ('"one"', '"two"'))
    kernel.communicate(timeout=60)

    assert f"waiting for pid {kernel.pid}" in capsys.readouterr().out
    assert {a["says"] for a in every_replica(app, 2).values()} == {"two"}


def test_the_magic_deploys_the_cells_last_expression(service: str) -> None:
    """`%%deploy NAME` is all that a cell needs."""
    shell = InteractiveShell.instance()
    try:
        workbench.load_ipython_extension(shell)
        cell = SERVICE + "\nService"
        app = shell.run_cell_magic("deploy", f'{service} --note "by magic"', cell)
        assert app.get("/answer").json()["says"] == "one"
        assert app.history()[-1].note == "by magic"
        shell.run_cell(SERVICE)  # an ordinary cell and the magic make the same code
        assert workbench.plan(shell.user_ns["Service"], name=service).of("keep") == ["Service"]
        with pytest.raises(workbench.PlanError, match="does not end with what to deploy"):
            shell.run_cell_magic("deploy", service, "x = 1")
    finally:
        InteractiveShell.clear_instance()
