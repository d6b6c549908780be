"""Figures of the RAG service: retrieval, answers, batching, deploying. One JSON line each.

Every ratio compares two ways in the same run. Run with `make bench`.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import workbench

ROOT = Path(__file__).parents[2]
PYDOCS = ROOT / "data" / "pydocs"
DEMO = runpy.run_path(str(ROOT / "notebooks" / "demo.py"))


def report(name: str, value: float, wanted: str, **facts: Any) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "wanted": wanted, **facts}))


def rows(name: str) -> list[dict[str, Any]]:
    """A JSON-lines file of the corpus."""
    return [json.loads(line) for line in (PYDOCS / name).open()]


def timed(work: Callable[[Any], Any], items: Sequence[Any], at_once: int) -> float:
    """Seconds that it takes to work through the items."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, items))
    return time.perf_counter() - began


def retrieval(app: Any) -> None:
    """Hit@5 of all questions through the running service."""
    questions = rows("questions.jsonl")
    hits = 0
    for each in questions:
        passages = app.get("/search", params={"q": each["question"], "k": 5}).json()["passages"]
        hits += bool({p["doc"] for p in passages} & set(each["docs"]))
    report("retrieval hit@5", hits / len(questions), ">= 0.88", questions=len(questions))


def answers(app: Any) -> None:
    """Accepted answers with retrieval, and of the same model closed book."""
    questions = rows("short_answers.jsonl")
    llm = app.handle("LLM").options(stream=True)

    def closed(each: dict[str, Any]) -> str:
        prompt = f"Answer in one short sentence.\n\nQuestion: {each['question']}"
        return "".join(llm.generate.remote(prompt))

    def opened(each: dict[str, Any]) -> str:
        return str(app.post("/chat", json={"query": each["question"]}).json()["answer"])

    def share(answer: Callable[[dict[str, Any]], str]) -> float:
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(answer, questions))
        right = [
            any(a.lower() in t.lower() for a in q["answers"])
            for q, t in zip(questions, texts, strict=True)
        ]
        return 100 * sum(right) / len(right)

    book, rag = share(closed), share(opened)
    report("RAG over closed book, points", rag - book, ">= 25", rag=rag, closed_book=book)


def batching(app: Any) -> None:
    """32 requests at once against the same one by one."""
    questions = [each["question"] for each in rows("questions.jsonl")[:32]]

    def chat(question: str) -> None:
        app.post("/chat", json={"query": question}).raise_for_status()

    chat(questions[0])
    single, together = timed(chat, questions, 1), timed(chat, questions, 32)
    report(
        "32 /chat at once / one by one", together / single, "<= 0.6", s=together, single_s=single
    )
    llm = app.handle("LLM").options(stream=True)
    words = "Tell me in a few plain words what a beginner should know about the number"
    prompts = [f"{words} {n} and about what it is used for in a small program." for n in range(32)]

    def generate(prompt: str) -> None:
        list(llm.generate.remote(prompt))

    single, together = timed(generate, prompts, 1), timed(generate, prompts, 32)
    report(
        "32 generations at once / one by one",
        together / single,
        "<= 0.35",
        s=together,
        single_s=single,
    )


def importing() -> None:
    """Seconds of `import workbench`, the best of five, and whether it imports Ray."""
    code = (
        "import sys, time; t = time.perf_counter(); import workbench\n"
        "print(time.perf_counter() - t, int('ray' in sys.modules))"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.check_output(command, text=True).split() for _ in range(5)]
    report("import workbench, s", min(float(took) for took, _ in runs), "< 0.5")
    report("import workbench imports ray", max(float(ray) for _, ray in runs), "== 0")


def connecting() -> None:
    """Seconds from a fresh process's import to the first answer of a connected application."""
    code = (
        "import time; t = time.perf_counter(); import workbench\n"
        "workbench.connect('rag'); print(time.perf_counter() - t)"
    )
    took = [
        float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(5)
    ]
    report("import and connect in a fresh process, s", sorted(took)[2], "< 2", runs=took)


def echo(word: int) -> FastAPI:
    """An application that answers with a number."""
    api = FastAPI()

    @api.get("/")
    def answer() -> int:
        return word

    return api


def returning() -> None:
    """Seconds between the first new answer and the return of deploy(), the median of five."""
    light = {"ray_actor_options": {"num_cpus": 0.1}}
    app = workbench.deploy(echo(0), name="bench-echo", **light)
    lags = []
    for number in range(1, 6):
        seen: list[float] = []
        watcher = threading.Thread(target=_watch, args=(app, number, seen))
        watcher.start()
        workbench.deploy(echo(number), name="bench-echo", **light)
        returned = time.perf_counter()
        watcher.join()
        lags.append(returned - seen[0])
    workbench.delete(app.name)
    report("deploy() returns after the first new answer, s", sorted(lags)[2], "<= 0.4", runs=lags)


def _watch(app: Any, number: int, seen: list[float]) -> None:
    while not seen:
        if app.get("/").json() == number:
            seen.append(time.perf_counter())


def main() -> None:
    """Deploy the service, measure, and stop what was started."""
    ran = DEMO["runs_already"]()
    importing()
    workbench.start(**({} if ran else {"num_cpus": 16}))
    try:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        DEMO["run"](DEMO["service_cells"](), namespace)
        DEMO["build_index"](namespace, PYDOCS / "passages.jsonl")
        app = workbench.deploy(namespace["rag"](), name="rag", route_prefix="/rag")
        for measure in (retrieval, answers, batching):
            measure(app)
        connecting()
        returning()
        workbench.delete(app.name)
    finally:
        if not ran:
            workbench.stop()


if __name__ == "__main__":
    main()
