"""Memory and disks that are full."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load, tried
from tests.bench.redeploy.services import Edit

from .common import NAME, QUIET_S, deploy, deployed, healthy, told, url

SHARED_MEMORY = Path("/dev/shm")
ROUTE = '    @api.get("/slow")\n'
EATING = f"""\
    @api.get("/eat")
    async def eat(self) -> int:
        import resource

        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
        try:
            return len(bytearray(2**30))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

{ROUTE}"""
LARGE = 30_000_000
FREE = 2**20


def memory(bench: Bench) -> None:
    """A request for which its replica has no memory left: it fails alone, and says why."""
    cell = deployed((ROUTE, EATING))
    with Load(url(bench)) as load:
        said = {httpx.get(f"{bench.url}/{NAME}/eat", timeout=30).status_code for _ in range(4)}
        deploys = [deploy(cell, 1)]
        time.sleep(QUIET_S)
    told(bench, "out of memory", load, deploys, said_there=sorted(said))
    bench.figure("out of memory: those that needed it were refused", said == {500}, "", "== 1")


def disk(bench: Bench) -> None:
    """The disk under the state folder is full: a change goes or is refused, and goes afterwards.

    Raises:
        LookupError: the state folder has no small disk of its own, as `make chaos` gives it.
    """
    home = Path(os.environ["WORKBENCH_HOME"])
    if shutil.disk_usage(home).total > 2**30:
        raise LookupError("the state folder is on a large disk; run this by `make chaos`")
    cell = deployed()
    with Load(url(bench)) as load:
        with _filled(home):
            target = cell.run(1)
            full = tried(1, lambda: workbench.deploy(target, name=NAME))
            tuned = tried(0, lambda: workbench.connect(NAME).tune(max_ongoing_requests=7))
        deploys = [deploy(cell, 2)]
        time.sleep(QUIET_S)
    known = (type(None), workbench.WorkbenchError)
    said = [isinstance(each.error, known) for each in (full, tuned)]
    told(bench, "disk full", load, deploys, deploy=repr(full.error), tune=repr(tuned.error))
    bench.figure("disk full: a deploy and a tune go or are refused", sum(said), "", "== 2")


def shared_memory(bench: Bench) -> None:
    """/dev/shm is full: code still reaches the replicas; new ones are refused until there is room.

    Raises:
        LookupError: /dev/shm is the machine's, not the small one that `make chaos` gives.
    """
    if shutil.disk_usage(SHARED_MEMORY).total > 2**32:
        raise LookupError("/dev/shm is large; run this by `make chaos`")
    cell = deployed()
    with Load(url(bench)) as load:
        with _filled(SHARED_MEMORY):
            deploys = [deploy(cell, 1)]
            target = cell.run(2, *_with_data())
            deploys.append(tried(2, lambda: workbench.deploy(target, name=NAME)))
            replaced = tried(3, lambda: deploy(cell, 3, mode="replace"))
        deploys.append(deploy(cell, 4, mode="replace"))
        time.sleep(QUIET_S)
    refused = isinstance(replaced.error, workbench.CapacityError)
    large = deploys[1].error
    if large is not None and not isinstance(large, workbench.WorkbenchError):
        raise large
    told(bench, "shared memory full", load, deploys, large=repr(large)[:300])
    bench.figure("shared memory full: new replicas are refused", refused, "", "== 1")
    bench.figure("shared memory full: healthy afterwards", healthy(), "", "== 1")


def _with_data() -> list[Edit]:
    return [
        ("api = FastAPI()\n", f"api = FastAPI()\ndata = bytes({LARGE})\n"),
        ('return {"revision"', 'return {"size": len(data), "revision"'),
    ]


@contextlib.contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Fill a disk to the last bytes while the block runs."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(FREE))
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
        yield
    finally:
        filler.unlink(missing_ok=True)
