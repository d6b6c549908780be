"""What a stranger may send to the RAG service: whatever its OpenAPI schema admits, and does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.rag import PROMPT, QUESTION, Notebook

SEED = 7
# Which statuses and types an operation documents is the application's own matter.
CHECKS = ("not_a_server_error", "response_schema_conformance", "negative_data_rejection")
TIMEOUT_S = 1200


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
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    print(done.stdout[-6000:], file=sys.stderr)
    bench.figure("inputs: schemathesis ended with", done.returncode, "", "== 0")
    answer = app.post("/chat", json={"query": QUESTION}, timeout=120).json()["answer"]
    bench.figure("inputs: it answers afterwards", bool(answer), "", "== 1")
