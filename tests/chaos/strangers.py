"""What a stranger may send to the RAG service, and what a user may deploy beside a service."""

from __future__ import annotations

import collections
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load
from tests.bench.redeploy.rag import PROMPT, QUESTION, Notebook
from tests.hostile import limited
from tests.hostile.places import PLACES, TARGETS
from tests.hostile.values import VALUES
from workbench.adapters import ray_graph

from .common import deploy, deployed, told, url

SEED = 7
# Which statuses and types an operation documents is the application's own matter.
CHECKS = ("not_a_server_error", "response_schema_conformance", "negative_data_rejection")
TIMEOUT_S = 1200
HOSTILE, DEPLOY_S, HANGS_S = "hostile", 20.0, 60
SERVES, REFUSED = "serves", "refused"


def inputs(bench: Bench) -> None:
    """Schemathesis against every operation; the service answers as before afterwards."""
    app = workbench.deploy(Notebook().run(PROMPT), name="rag")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run"),
        f"{bench.url}/rag/openapi.json",
        f"--url={bench.url}/rag",
        f"--checks={','.join(CHECKS)}",
        f"--seed={SEED}",
        f"--max-examples={bench.rounds(25, 3)}",
        "--request-timeout=120",
        "--generation-database=none",
        "--no-color",
    ]
    with tempfile.TemporaryDirectory() as own:  # it leaves a cache where it runs
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=own)
    print(done.stdout[-6000:], file=sys.stderr)
    bench.figure("inputs: schemathesis ended with", done.returncode, "", "== 0")
    answer = app.post("/chat", json={"query": QUESTION}, timeout=120).json()["answer"]
    bench.figure("inputs: it answers afterwards", bool(answer), "", "== 1")


def targets(bench: Bench) -> None:
    """What nobody would deploy, deployed: it serves or a `WorkbenchError` says why it does not."""
    cell, said, slowest_s = deployed(), collections.Counter[str](), 0.0
    chosen = list(_catalogue())
    random.Random(SEED).shuffle(chosen)
    with Load(url(bench)) as load:
        for what, make in chosen[: bench.rounds(60, 8)]:
            began_s = time.monotonic()
            outcome = _outcome(make)
            said[outcome] += 1
            took_s = time.monotonic() - began_s
            slowest_s = max(slowest_s, took_s)
            print(f"{what}: {outcome} after {took_s:.1f} s", file=sys.stderr)
        deploys = [deploy(cell, 1)]
        time.sleep(1)
    told(bench, "hostile targets", load, deploys)
    strange = sum(count for each, count in said.items() if each not in (SERVES, REFUSED))
    bench.figure("hostile targets: neither served nor refused", strange, "", "== 0", said=said)
    bench.figure("hostile targets: slowest", slowest_s, "s", f"<= {HANGS_S}")


def _catalogue() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Those that are pickled and shipped: what happens to them shows in a replica alone."""
    for name, target in TARGETS.items():
        yield name, target
    for name, value in VALUES.items():
        for place, put in PLACES.items():
            with contextlib.suppress(Exception, SystemExit):
                ray_graph.graph_of(put(value()), {})
                yield f"{name} as {place}", lambda put=put, value=value: put(value())


def _outcome(make: Callable[[], Any]) -> str:
    try:
        with limited(HANGS_S):
            workbench.deploy(make(), name=HOSTILE, timeout_s=DEPLOY_S)
    except workbench.WorkbenchError as error:
        return REFUSED if str(error) else "no reason"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return SERVES
