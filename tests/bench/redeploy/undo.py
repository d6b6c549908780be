"""Fifty deploys of which twenty are broken: the last good code must serve all the time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import workbench

from .figures import Bench
from .load import Answer, Deploy, Load, failed, stale, tried, worst_ms
from .services import ANSWERING, Cell, Edit

CONSTRUCTOR = "        self.state = 0\n"
METHOD = '    @api.get("/answer")\n'
ANSWER = '        return {"revision"'
DECORATOR = "@serve.deployment(num_replicas=2, "
# A health check that fails must show before the next deploy could hide it.
WATCHED = (DECORATOR, f"{DECORATOR}health_check_period_s=0.5, ")
BROKEN: dict[str, list[Edit]] = {
    "raises": [(CONSTRUCTOR, f"{CONSTRUCTOR}        raise RuntimeError('on purpose')\n")],
    "hangs": [(CONSTRUCTOR, f"{CONSTRUCTOR}        time.sleep(60)\n")],
    "import error": [(CONSTRUCTOR, f"{CONSTRUCTOR}        import nowhere\n")],
    "bad signature": [("__init__(self)", "__init__(self, model)")],
    "failing health check": [
        (METHOD, f"    def check_health(self):\n        raise RuntimeError('ill')\n\n{METHOD}")
    ],
    "unpicklable": [
        ("api = FastAPI()\n", "api = FastAPI()\nnumbers = (n for n in range(3))\n"),
        (ANSWER, f"        next(numbers)\n{ANSWER}"),
    ],
}
HANG_TIMEOUT_S = 4.0
GOOD_TIMEOUT_S = 60.0
WATCH_S = 0.2


def fifty(bench: Bench) -> None:
    """Two of five deploys are broken; some of the good ones change the constructor."""
    cell, count = Cell(ANSWERING, "Answering", WATCHED), bench.rounds(50, 15)
    workbench.deploy(cell.run(0), name="fifty")
    kinds, deploys, surprises = itertools.cycle(BROKEN), [], []
    with Load(f"{bench.url}/fifty/answer") as load:
        for revision in range(1, count + 1):
            broken = next(kinds) if revision % 5 in (2, 4) else ""
            deploys.append(made := _deploy(cell, revision, broken))
            if bool(broken) != (made.error is not None):
                surprises.append(f"{revision} {broken or 'good'}: {made.error!r}"[:300])
            time.sleep(WATCH_S)
        time.sleep(2)
    wrong = out_of_place(load.answers, deploys)
    refused = sum(each.error is not None for each in deploys)
    bench.figure(
        f"{count} deploys, {count // 5 * 2} broken: failed",
        len(failed(load.answers)),
        "requests",
        "== 0",
        requests=len(load.answers),
        worst_ms=round(worst_ms(load.answers), 1),
        first=[each.text[:200] for each in failed(load.answers)[:2]],
    )
    late = stale(load.answers, deploys)
    bench.figure("broken deploys: wrong code after any", len(wrong) + len(late), "answers", "== 0")
    bench.figure(
        "broken deploys: that went as they should not",
        len(surprises),
        "",
        "== 0",
        refused=refused,
        surprises=surprises,
        seconds=_by_kind(deploys),
    )


def _deploy(cell: Cell, revision: int, broken: str) -> Deploy:
    edits = list(BROKEN.get(broken, []))
    if not broken and revision % 5 == 0:
        edits.append((CONSTRUCTOR, f"        self.state = {revision}\n"))
    timeout_s = HANG_TIMEOUT_S if broken == "hangs" else GOOD_TIMEOUT_S

    def run() -> None:
        target = cell.run(revision, *edits)  # what cannot be pickled is refused by Serve here
        workbench.deploy(target, name="fifty", timeout_s=timeout_s)

    return tried(revision, run)


def out_of_place(answers: Sequence[Answer], deploys: Sequence[Deploy]) -> list[Answer]:
    """Answers from a broken revision that were asked for after its deploy had failed."""
    broken = {each.revision: each.returned_ns for each in deploys if each.error is not None}
    return [a for a in answers if a.revision in broken and a.sent_ns > broken[a.revision]]


def _by_kind(deploys: Sequence[Deploy]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    kinds = itertools.cycle(BROKEN)
    for each in deploys:
        kind = next(kinds) if each.revision % 5 in (2, 4) else "good"
        found.setdefault(kind, []).append(round(each.ms / 1000, 2))
    return found
