"""Runs scenarios on a private cluster, each figure a JSON line on stdout, a table on stderr."""

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
from collections.abc import Callable, Mapping
from pathlib import Path

import workbench
from workbench.adapters.processes import free_ports

from .figures import Bench, Figure, table
from .services import delete_all

Scenarios = Mapping[str, Callable[[Bench], None]]
NONE: Scenarios = {}
LOGICAL_CPUS = 16
CORES = os.cpu_count()


def main(
    scenarios: Scenarios, purpose: str, folder: str | None = None, long: Scenarios = NONE
) -> int:
    """Start a cluster, run the scenarios that the command line names, stop it.

    Args:
        scenarios: by name; all run when none is named.
        purpose: the first line of the help.
        folder: where the cluster's state is kept; that of temporary files when None.
        long: scenarios that run only when they are named.

    Returns:
        The exit status: 1 when a figure misses its limit.
    """
    arguments = _arguments(scenarios, purpose, long)
    home = Path(tempfile.mkdtemp(prefix="workbench-bench-", dir=folder))
    os.environ["WORKBENCH_HOME"] = str(home / "home")
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(home / "ray" / "auth_token")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        figures = _measured({**scenarios, **long}, arguments)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    table(figures)
    return 0 if all(each.ok for each in figures) else 1


def _measured(scenarios: Scenarios, arguments: argparse.Namespace) -> list[Figure]:
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
        for name in arguments.names:
            _run(name, scenarios[name], bench)
    return bench.figures


def _arguments(scenarios: Scenarios, purpose: str, long: Scenarios) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*scenarios, *long]))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--verbose", action="store_true", help="show what deploy() prints")
    parser.add_argument("--data-path", default="auto", choices=["auto", "fast", "python"])
    arguments = parser.parse_args()
    arguments.names = arguments.names or list(scenarios)
    unknown = set(arguments.names) - {*scenarios, *long}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return arguments


def _leave(signum: int, _: object) -> None:
    sys.exit(128 + signum)


def _run(name: str, scenario: Callable[[Bench], None], bench: Bench) -> None:
    began = time.monotonic()
    try:
        scenario(bench)
    except Exception as error:  # one that breaks off must not hide the others
        traceback.print_exc()
        bench.broke_off(name, error)
    finally:
        with contextlib.suppress(Exception):  # the next one, or stop(), shows it
            delete_all()
    took_s, busy = time.monotonic() - began, os.getloadavg()[0]
    print(f"{name}: {took_s:.0f} s, load average {busy:.1f} on {CORES} cores", file=sys.stderr)
