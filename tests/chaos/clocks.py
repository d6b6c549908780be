"""A machine whose clock is set while it serves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Deploy, Load, timed
from workbench.adapters.processes import free_ports

from .common import NAME, QUIET_S, told
from .kernels import ROOT

LIBRARY = "*/faketime/libfaketimeMT.so.1"  # says what time it is to the processes that load it
OFFSETS_S = ("+3600", "-3600", "+0", "-86400", "+86400", "+0")
EACH_S = 6.0
END_S = 60.0
# A kernel with a cluster of its own; for each number that it reads it changes the service.
KERNEL = f"""
import sys
import workbench
from tests.bench.redeploy.services import ANSWERING, Cell
cell = Cell(ANSWERING, "Answering")
workbench.start(num_cpus=8, http_port=int(sys.argv[1]))
app = workbench.deploy(cell.run(0), name="{NAME}")
print("MADE", flush=True)
for number in map(int, sys.stdin):
    mode = "replace" if number % 10 == 0 else "auto"
    workbench.deploy(cell.run(number), name="{NAME}", mode=mode)
    app.tune("Answering", max_ongoing_requests=5 + number % 9)
    assert app.metrics()
    print("MADE", flush=True)
workbench.stop()
"""


def clock(bench: Bench) -> None:
    """The clock of a kernel and its cluster is set an hour or a day on, and back again.

    Raises:
        LookupError: there is no libfaketime.
    """
    library = next(Path("/usr/lib").glob(LIBRARY), None)
    if library is None:
        raise LookupError("libfaketime is not installed; on Debian: apt-get install faketime")
    with tempfile.TemporaryDirectory(prefix="workbench-chaos-") as folder:
        offset, port = Path(folder) / "offset", free_ports(1)[0]
        offset.write_text(OFFSETS_S[-1])
        with _kernel(folder, offset, library, port) as process:
            try:
                _wait(process)
                deploys: list[Deploy] = []
                with Load(f"http://127.0.0.1:{port}/{NAME}/answer") as load:
                    for each in OFFSETS_S[: bench.rounds(len(OFFSETS_S), 2)]:
                        offset.write_text(each)
                        until_s = time.monotonic() + EACH_S
                        while time.monotonic() < until_s:
                            number = len(deploys) + 1
                            deploys.append(timed(number, lambda n=number: _change(process, n)))
                    time.sleep(QUIET_S)
            except BaseException:
                process.kill()
                raise
            process.communicate(timeout=END_S)
    slowest = max(each.ms for each in deploys)
    told(bench, "clock set", load, deploys, deploys=len(deploys), slowest_ms=round(slowest))
    bench.figure("clock set: the kernel ended with", process.returncode, "", "== 0")


def _kernel(folder: str, offset: Path, library: Path, port: int) -> subprocess.Popen[str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WORKBENCH_HOME": f"{folder}/home",
        "RAY_AUTH_TOKEN_PATH": f"{folder}/ray/auth_token",
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", KERNEL, str(port)]
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)


def _change(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdin is not None
    print(number, file=process.stdin, flush=True)
    _wait(process)


def _wait(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if not any(line == "MADE\n" for line in process.stdout):
        raise RuntimeError("the kernel whose clock is set ended")
