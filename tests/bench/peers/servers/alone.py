"""The model alone, without any server: texts per second one by one, and in full batches.

python alone.py generate TEXT
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from work import BATCH, WORK

ROUNDS = 5


def main(workload: str, text: str) -> None:
    """Print both rates as JSON."""
    work = WORK[workload]()
    rates = {}
    for size in (1, BATCH):
        work([text] * size)  # warm
        took_s = []
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            work([text] * size)
            took_s.append(time.perf_counter() - began_s)
        rates[size] = size / statistics.median(took_s)
    print(json.dumps({"one_by_one": rates[1], "in_batches": rates[BATCH]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
