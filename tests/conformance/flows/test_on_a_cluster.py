"""The same flows on a real cluster: deployed, edited, deployed again, and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

import workbench
from workbench.adapters import ray_serve
from workbench.core.plan import KEEP, SWAP, TUNE

from .book import Book, Edit, Flow, opened
from .programs import ASKS, Program, Step, sessions, shown
from .replica import read_answer
from .rungs import highest
from .table import FLOWS, params

pytestmark = pytest.mark.ray
Record = Callable[[str, object], None]
HOT, FRESH = "flow-hot", "flow-fresh"
# In `make test`: one of each kind of thing that goes to a replica in its own way.
SHORT = frozenset(
    {
        "the class's cell is edited, `api` stands in a cell of its own",
        "a helper moves into the class's cell",
        "a function with `functools.cache` is edited, after it was used",
        "a method is edited beside a member of an enum in the state",
        "a dataclass that a route makes is edited alone",
        "a model that a route takes is edited, both cells run",
        "a class is edited below a lifespan of its `api`",
        "in a composition, a method of the callee is edited",
        "a batched method is edited",
        "a helper that the constructor calls is edited",
        "`exec` defines a class anew beside one that uses it",
        "`user_config` is edited",
    }
)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    for each in [a.name for a in workbench.apps() if a.name in (HOT, FRESH)]:
        workbench.delete(each)


def pids(app: str) -> dict[str, set[int]]:
    """Process ids of the replicas of each deployment."""
    deployments = ray_serve.details()[app]["deployments"]
    return {n: {r["pid"] for r in each["replicas"]} for n, each in deployments.items()}


def deployed(book: Book, name: str) -> Any:
    """Deploy what a notebook deploys."""
    return workbench.deploy(book.target(), name=name)


def asked(app: Any, flow: Flow) -> Any:
    """Make the requests of a flow; the last answer."""
    return [ask(app, each) for each in flow.asks][-1]


def ask(app: Any, request: str) -> Any:
    """The answer to one request."""
    how, path, *body = request.split(" ", 2)
    if how == "call":
        arguments = json.loads(body[0]) if body else []
        handle = app.handle()
        method = handle if path == "__call__" else getattr(handle, path)
        return method.remote(*arguments).result()
    more = {"json": json.loads(body[0])} if body else {}
    return read_answer(httpx.request(how, f"{app.url}{path}", timeout=60, **more))


def rungs(app: Any) -> dict[str, str]:
    """What the newest revision's record says of each deployment."""
    return {each.name: each.action for each in app.history()[-1].deployments}


@pytest.mark.parametrize("flow", params(FLOWS, pytest.mark.conformance, short=SHORT))
def test_a_flow_answers_as_a_fresh_deploy(
    flow: Flow, tmp_path: Path, record_property: Record
) -> None:
    """The same rung, the same processes, and the answer of a deploy that saw the cells once."""
    with opened(flow, tmp_path) as book:
        app = deployed(book, HOT)
        asked(app, flow)
        before = pids(HOT)
        for each in flow.edits:
            book.edit(each)
        deployed(book, HOT)
        hot, taken, after = asked(app, flow), rungs(app), pids(HOT)
    with opened(flow, tmp_path, edited=True) as book:
        cold = asked(deployed(book, FRESH), flow)

    record_property("on a cluster", highest(list(taken.values())))
    assert hot == flow.answer
    assert cold == (flow.answer if flow.fresh is None else flow.fresh)
    assert highest(list(taken.values())) == flow.rung
    for name, rung in taken.items():
        assert rung not in (KEEP, TUNE, SWAP) or before[name] <= after[name]


def test_another_process_runs_all_cells_and_keeps_what_serves(tmp_path: Path) -> None:
    """A kernel that is restarted is another process: no digest may depend on this one's."""
    flow = next(each for each in FLOWS if each.name == "restart and run all")
    code = (
        "from pathlib import Path; import workbench\n"
        "from tests.conformance.flows import book, table\n"
        f"flow = next(each for each in table.FLOWS if each.name == {flow.name!r})\n"
        f"with book.opened(flow, Path({str(tmp_path)!r})) as opened:\n"
        f"    workbench.deploy(opened.target(), name={HOT!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
    with opened(flow, tmp_path) as book:
        app = deployed(book, HOT)

    assert set(rungs(app).values()) == {KEEP}
    assert asked(app, flow) == flow.answer


def flow_of(program: Program) -> Flow:
    """A generated program as a notebook."""
    return Flow("program", program.cells(), (), "", None, asks=ASKS[program.target])


def answers(app: Any, program: Program) -> list[Any]:
    """What a generated program answers."""
    return [ask(app, each) for each in ASKS[program.target]]


@pytest.mark.conformance
def test_generated_programs_answer_as_fresh_deploys(
    tmp_path: Path, record_property: Record
) -> None:
    """What holds for a process that plays a replica holds for Serve's."""
    taken = []

    def deployed_and_edited(program: Program, edits: list[Step]) -> None:
        note(shown(program))
        with Book(flow_of(program), tmp_path) as book:
            answers(deployed(book.run_all(), HOT), program)
            for step in edits:
                note(f"then runs {step.runs}\n{shown(step.program)}")
                book.cells = step.program.cells()
                if step.restarts:
                    book.restart()
                for name in step.runs:
                    book.edit(Edit(name))
                app = deployed(book, HOT)
                taken.append(highest(list(rungs(app).values())))
            hot = answers(app, program)
        with opened(flow_of(edits[-1].program), tmp_path) as book:
            assert answers(deployed(book, FRESH), program) == hot

    @settings(
        max_examples=20,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a smaller program would cost a minute per try
        suppress_health_check=list(HealthCheck),
    )
    @given(session=sessions())
    def many(session: tuple[Program, list[Step]]) -> None:
        deployed_and_edited(*session)

    many()
    for rung in taken:
        record_property("generated, on a cluster", rung)
