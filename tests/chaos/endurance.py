"""Many swaps in a row, and the RAG service under load for long."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import psutil

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Answer, Load, failed
from tests.bench.redeploy.rag import PROMPT, QUESTION, Notebook
from tests.bench.redeploy.services import replicas
from tests.bench.redeploy.swap import swaps_in_a_row

from .common import NAME, deployed

SWAP_EVERY_S, TUNE_EVERY_S = 60.0, 20.0
CHAT_EVERY_S, SEARCH_EVERY_S = 10.0, 0.5
WAITS_S = (0.2, 0.1)
MIB = 2**20
FLAT_MIB = 30


def swaps(bench: Bench) -> None:
    """500 swaps in a row under load."""
    for figure in swaps_in_a_row(bench, deployed(), NAME, bench.rounds(500, 20)):
        bench.figure(*figure)


def soak(bench: Bench) -> None:
    """The RAG service under open-loop load, a swap a minute, a knob every 20 s."""
    notebook, minutes = Notebook(), bench.rounds(30, 2)
    app = workbench.deploy(notebook.run(PROMPT), name="rag")
    app.post("/chat", json={"query": QUESTION}, timeout=120)
    chats = Load(f"{bench.url}/rag/chat", 1, CHAT_EVERY_S, body={"query": QUESTION})
    searches = Load(f"{bench.url}/rag/search?q=python&k=5", 1, SEARCH_EVERY_S)
    sizes: list[float] = []
    with chats, searches:
        began = time.monotonic()
        waits = itertools.cycle(WAITS_S)
        for number in range(int(minutes * 60 / TUNE_EVERY_S)):
            if number % (SWAP_EVERY_S / TUNE_EVERY_S) == 0:
                prompt = f"Answer in one short sentence, using this text. Try {number}."
                workbench.deploy(notebook.run(prompt), name="rag")
            app.tune("LLM", batch_wait_timeout_s=next(waits))
            sizes.append(_resident_mib())
            time.sleep(max(0.0, began + (number + 1) * TUNE_EVERY_S - time.monotonic()))
    for what, load in (("chat", chats), ("search", searches)):
        _told(bench, f"soak of {minutes} min, {what}", load.answers)
    first, last = _ends(sizes)
    grown = statistics.median(last) - statistics.median(first)
    bench.figure(
        f"soak of {minutes} min: memory of all replicas grew by",
        grown,
        "MiB",
        f"<= {FLAT_MIB}",
        start_mib=round(statistics.median(first)),
        end_mib=round(statistics.median(last)),
    )


def _told(bench: Bench, what: str, answers: Sequence[Answer]) -> None:
    bench.figure(f"{what}: failed", len(failed(answers)), "", "== 0", requests=len(answers))
    first, last = _ends(sorted(answers, key=lambda each: each.due_ns))
    before, after = _p99_ms(first), _p99_ms(last)
    bench.figure(
        f"{what}: p99 of the last sixth over the first's",
        after / before,
        "",
        "<= 1.2",
        first_ms=round(before),
        last_ms=round(after),
    )


def _ends(items: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    sixth = max(1, len(items) // 6)
    return items[:sixth], items[-sixth:]


def _p99_ms(answers: Sequence[Answer]) -> float:
    return statistics.quantiles([each.ms for each in answers], n=100, method="inclusive")[98]


def _resident_mib() -> float:
    pids = set().union(*replicas("rag").values())
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / MIB
