"""The RAG graph of 05_rag.ipynb: an edit of the gateway's prompt must not touch the models."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import workbench

from .figures import Bench, median, rounded
from .load import timed
from .services import delete_all, edited, replicas, run_raw

ROOT = Path(__file__).parents[3]
PROMPT = "Answer in one short sentence, using this text."
QUESTION = "After which BBC comedy series is Python named?"
GATEWAY = "RAGService"


class Notebook:
    """The service cells of the notebook, run with another prompt each time."""

    def __init__(self) -> None:
        self._demo = runpy.run_path(str(ROOT / "notebooks" / "demo.py"))
        self._cells = self._demo["service_cells"]()
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self._demo["run"](self._cells, self.namespace)
        self._demo["build_index"](self.namespace, ROOT / "data" / "pydocs" / "passages.jsonl")

    def run(self, prompt: str) -> Any:
        """Run the cell of the gateway again, as one does; returns the bound graph."""
        gateway = next(each for each in self._cells if f"class {GATEWAY}" in each)
        self._demo["run"]([edited(gateway, [(PROMPT, prompt)])], self.namespace)
        return self.namespace["rag"]()


def rag(bench: Bench) -> None:
    """Edit the prompt; look who lives on and how long it takes."""
    notebook, took, moved = Notebook(), [], set()
    app = workbench.deploy(notebook.run(PROMPT), name="rag")
    app.post("/chat", json={"query": QUESTION}, timeout=120)
    before = replicas("rag")
    for number in range(1, bench.rounds(10, 2) + 1):
        prompt = f"Answer in {number + 3} words, using this text."
        target = notebook.run(prompt)
        took.append(timed(number, lambda t=target: workbench.deploy(t, name="rag")).ms)
        said = app.handle(GATEWAY).prompt.remote("What?", [{"text": "text"}]).result()
        if prompt not in said:
            raise AssertionError(f"the gateway says {said!r} after deploying {prompt!r}")
        now = replicas("rag")
        moved |= {name for name in now if now[name] != before[name]}
    answer = app.post("/chat", json={"query": QUESTION}, timeout=120).json()["answer"]
    raw = raw_ms(notebook)
    ratio = bench.figure(
        "rag: deploy() of another prompt, median",
        median(took),
        "ms",
        baseline=raw,
        edits=len(took),
        runs=rounded(took),
        answer=answer,
    )
    bench.figure("rag: times faster than raw serve.run", ratio or 0, "", ">= 100")
    others = sorted(moved - {GATEWAY})
    bench.figure(
        "rag: other deployments whose processes changed", len(others), "", "== 0", changed=others
    )
    bench.figure("rag: the gateway's process changed", len(moved & {GATEWAY}), "", "== 0")


def raw_ms(notebook: Notebook) -> float:
    """The same edit by raw `serve.run`: milliseconds of the call."""
    delete_all()
    run_raw(notebook.run(PROMPT), "raw-rag")
    target = notebook.run("Answer in few words, using this text.")
    return timed(1, lambda: run_raw(target, "raw-rag")).ms
