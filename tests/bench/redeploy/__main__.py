"""Run the benches of redeploying: all, or those named; `--quick` for fewer rounds.

    python -m tests.bench.redeploy [--quick] [--verbose] [swap saturated rag replace ...]

Each figure is a JSON line on stdout; the table for people goes to stderr. The cluster is a private
one and is stopped at the end. The exit status is 1 when a figure misses its limit.
"""

from __future__ import annotations

import sys

from . import cost, late, memory, program, rag, replace, swap, tune, undo

BENCHES: program.Scenarios = {
    "swap": swap.swap,
    "saturated": swap.saturated,
    "rag": rag.rag,
    "replace": replace.replace,
    "fifty": undo.fifty,
    "killed": late.killed,
    "scaled": late.scaled,
    "memory": memory.memory,
    "cost": cost.cost,
    "knob": tune.knob,
    "wider": tune.wider,
}

if __name__ == "__main__":
    sys.exit(program.main(BENCHES, __doc__.splitlines()[0]))
