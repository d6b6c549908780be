"""The RAG service of 05_rag.ipynb in a terminal: deploy, ask, change the prompt, stop."""

from __future__ import annotations

import json
import linecache
import time
from pathlib import Path
from typing import Any

import nbformat
from transformers.utils import logging

import workbench

HERE = Path(__file__).parent
MODEL = "SmolLM2 with 135 million weights, a thousandth of a large model's"
# Each with what a right answer holds: both prompts got these right, of some 50 that were tried.
QUESTIONS = {
    "Which built-in function returns the length of a string?": "len()",
    "Which keyword introduces a function definition?": "def",
    "Which module provides regular expressions?": "re module",
}
SHORTER = "Reply with a few words only, using this text.\\n\\n{context}\\n\\nQuestion: {query}"


def service_cells() -> list[str]:
    """The notebook's cells that make up the service."""
    notebook = nbformat.read(HERE / "05_rag.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if "service" in cell.metadata.get("tags", ())]
    return [cell.source for cell in cells]


def run(cells: list[str], namespace: dict[str, Any]) -> None:
    """Run cells as a kernel would, with their lines known to tracebacks."""
    for number, source in enumerate(cells, start=1):
        name = f"<05_rag.ipynb service cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec", dont_inherit=True), namespace)


def ask(app: Any, questions: dict[str, str]) -> None:
    """Ask each question; print the answer as it comes, and whether it is right."""
    for question, right in questions.items():
        began, answer, best = time.perf_counter(), "", {}
        print(f"\nQ: {question}\nA: ", end="", flush=True)
        for line in app.stream("/chat/stream", json={"query": question}):
            event = json.loads(line)
            answer += event.get("token", "")
            print(event.get("token", ""), end="", flush=True)
            best = event.get("sources", [best])[0]
        print(f"\n   {time.perf_counter() - began:.1f} s, from {best['doc']}")
        if right.lower() not in answer.lower():
            print(f"   This is wrong: the model is small. A right answer holds {right!r}.")


def build_index(namespace: dict[str, Any], corpus: Path) -> int:
    """Fill the service's index; returns the number of passages."""
    where = (namespace["INDEX"], corpus, namespace["EMBEDDER"], namespace["CHROMA_URL"])
    return int(namespace["build_index"](*where))


def deployed(namespace: dict[str, Any], note: str) -> Any:
    """Deploy the service, which prints what was done to each deployment; say how long it took."""
    began = time.perf_counter()
    app = workbench.deploy(namespace["rag"](), name="rag", route_prefix="/rag", note=note)
    print(f"  {time.perf_counter() - began:.2f} s in all")
    return app


def main() -> None:
    """Show the whole way, and stop what was started."""
    logging.disable_progress_bar()
    running = runs_already()
    if running and "rag" in [each.name for each in workbench.apps()]:
        raise SystemExit("an application 'rag' runs already: workbench.delete('rag')")
    print("Starting the cluster" if not running else "Using the cluster that runs")
    began = time.perf_counter()
    print(f"  {workbench.start()}  {time.perf_counter() - began:.1f} s")
    try:
        show()
    finally:
        if not running:
            print("\nStopping the cluster")
            workbench.stop()
        elif "rag" in [each.name for each in workbench.apps()]:
            print("\nDeleting the service")
            workbench.delete("rag")


def runs_already() -> bool:
    """Whether a cluster ran before this program."""
    try:
        workbench.apps()
    except workbench.ClusterError:
        return False
    return True


def show() -> None:
    """Deploy, ask, change, ask again, show the status."""
    cells = service_cells()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    run(cells, namespace)
    print("Building the index of data/pydocs: about a minute, once")
    began = time.perf_counter()
    passages = build_index(namespace, namespace["DATA"] / "pydocs" / "passages.jsonl")
    print(f"  {passages} passages  {time.perf_counter() - began:.1f} s")
    print("Deploying the RAG service")
    app = deployed(namespace, "first version")
    print(f"Asking it. The language model is {MODEL}:")
    print("it finds what a passage says, and is often wrong where it would have to think.")
    ask(app, QUESTIONS)
    print("\nChanging the prompt and deploying again: the models stay loaded")
    old = "Answer in one short sentence, using this text.\\n\\n{context}\\n\\nQuestion: {query}"
    changed = [cell.replace(old, SHORTER) for cell in cells]
    if changed == cells:
        raise SystemExit("the prompt was not found in 05_rag.ipynb")
    run(changed, namespace)
    app = deployed(namespace, "shorter answers")
    ask(app, QUESTIONS)
    print(f"\n{app.status()}")


if __name__ == "__main__":
    main()
