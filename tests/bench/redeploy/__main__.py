"""Run the benches of redeploying: all, or those named; `--quick` for fewer rounds.

    python -m tests.bench.redeploy [--quick] [--verbose] [swap saturated rag replace ...]

Each figure is a JSON line on stdout; the table for people goes to stderr. The cluster is a private
one and is stopped at the end. The exit status is 1 when a figure misses its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import workbench
from workbench.adapters.processes import free_ports

from . import cost, faults, late, memory, rag, replace, swap, tune, undo
from .figures import Bench, Figure, table
from .services import delete_all

BENCHES: dict[str, Callable[[Bench], None]] = {
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
FAULTS: dict[str, Callable[[Bench], None]] = {
    "controller": faults.controller,
    "proxy": faults.proxy,
    "only": faults.only,
    "kernel": faults.kernel,
    "kernels": faults.kernels,
}
ALL = BENCHES | FAULTS
LOGICAL_CPUS = 16
CORES = os.cpu_count()


def main() -> int:
    """Start a cluster, run the benches, stop it; returns the exit status."""
    arguments = _arguments()
    home = Path(tempfile.mkdtemp(prefix="workbench-bench-"))
    os.environ["WORKBENCH_HOME"] = str(home / "home")
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(home / "ray" / "auth_token")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        figures = _measured(arguments)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    table(figures)
    return 0 if all(each.ok for each in figures) else 1


def _measured(arguments: argparse.Namespace) -> list[Figure]:
    out = sys.stdout
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        told = sys.stderr if arguments.verbose else nowhere
        stack.enter_context(contextlib.redirect_stdout(told))  # deploy() prints its progress
        stack.callback(workbench.stop)
        cluster = workbench.start(
            num_cpus=LOGICAL_CPUS, http_port=free_ports(1)[0], data_path=arguments.data_path
        )
        signal.signal(signal.SIGTERM, _leave)  # after Ray's own, which would leave the cluster
        bench = Bench(cluster.http_url, arguments.quick, out)
        for name in arguments.benches:
            _run(name, bench)
    return bench.figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--verbose", action="store_true", help="show what deploy() prints")
    parser.add_argument("--faults", action="store_true", help=f"run {', '.join(FAULTS)}")
    parser.add_argument("--data-path", default="auto", choices=["auto", "fast", "python"])
    arguments = parser.parse_args()
    arguments.benches = list(FAULTS if arguments.faults else arguments.benches or BENCHES)
    unknown = set(arguments.benches) - set(ALL)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    return arguments


def _leave(signum: int, _: object) -> None:
    sys.exit(128 + signum)


def _run(name: str, bench: Bench) -> None:
    began = time.monotonic()
    try:
        ALL[name](bench)
    except Exception as error:  # one bench that breaks off must not hide the others
        traceback.print_exc()
        bench.broke_off(name, error)
    finally:
        with contextlib.suppress(Exception):  # the next bench, or stop(), shows it
            delete_all()
    took_s, busy = time.monotonic() - began, os.getloadavg()[0]
    print(f"{name}: {took_s:.0f} s, load average {busy:.1f} on {CORES} cores", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
