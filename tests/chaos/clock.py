"""A clock that is set: forwards by a day, back by two, while a service answers and changes.

The machine's own clock stays as it is: a second cluster and its kernel run under libfaketime, which
gives them another one. Run by itself it is that kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load, failed
from tests.bench.redeploy.services import ANSWERING, Cell
from workbench.adapters.processes import free_ports

NAME, LOGICAL_CPUS, WITHIN_S = "clock", 8, 300
JUMPS = ("+1d", "-1d", "+0")
PLACES = ("/usr/lib", "/lib")
FIGURES_S = 15.0


def clock(bench: Bench) -> None:
    """Jumps of the clock: no request fails, every change goes, figures go on.

    Raises:
        LookupError: libfaketime is not installed.
    """
    found = [each for place in PLACES for each in Path(place).rglob("libfaketimeMT.so.1")]
    if not found:
        raise LookupError("there is no libfaketime; on Debian: apt-get install libfaketime")
    home = Path(os.environ["WORKBENCH_HOME"]).parent / NAME
    home.mkdir()
    (home / "offset").write_text("+0\n")
    faked = {
        **os.environ,
        "WORKBENCH_HOME": str(home / "home"),
        "RAY_AUTH_TOKEN_PATH": str(home / "ray" / "auth_token"),
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(home / "offset"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env=faked,
        stdout=subprocess.PIPE,
        text=True,
        timeout=WITHIN_S,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    bench.figure("clock set: failed", told["failed"], "requests", "== 0", **told)
    bench.figure("clock set: changes that went", told["changes"], "", f"== {3 * len(JUMPS)}")
    bench.figure("clock set: jumps after which figures went on", told["figures"], "", "== 3")


def main() -> None:
    """Deploy, set the clock, swap, tune and replace; print what happened as JSON."""
    offset = Path(os.environ["FAKETIME_TIMESTAMP_FILE"])
    told = {"failed": 0, "changes": 0, "figures": 0, "jumped_s": []}
    cluster = workbench.start(num_cpus=LOGICAL_CPUS, http_port=free_ports(1)[0])
    try:
        cell = Cell(ANSWERING, "Answering")
        app = workbench.deploy(cell.run(0), name=NAME)
        url = f"{cluster.http_url}/{NAME}/answer"
        preload = os.environ.pop("LD_PRELOAD")  # the clients keep the machine's clock
        with Load(url, every_s=0.05) as load:
            os.environ["LD_PRELOAD"] = preload
            for number, jump in enumerate(JUMPS):
                before_s = time.time()
                offset.write_text(f"{jump}\n")
                told["jumped_s"].append(round(time.time() - before_s))
                for mode in ("swap", "replace"):
                    revision = 2 * number + 1 + (mode == "replace")
                    workbench.deploy(cell.run(revision), name=NAME, mode=mode)
                    told["changes"] += httpx.get(url, timeout=30).json()["revision"] == revision
                told["changes"] += app.tune(max_ongoing_requests=7 + number).revision > 0
                told["figures"] += _figures(app)
        told["failed"] = len(failed(load.answers))
    finally:
        workbench.stop()
    print(json.dumps(told))


def _figures(app: workbench.App) -> bool:
    """Whether requests are counted within some seconds."""
    until = time.monotonic() + FIGURES_S
    while time.monotonic() < until:
        sample = app.metrics()
        if sum(each.requests_per_s for each in sample.deployments.values()) > 0:
            return True
        time.sleep(0.5)
    return False


if __name__ == "__main__":
    main()
