"""The release of every application that serves, kept on the cluster as well as in the history.

A history that is lost, or another notebook's, must not cost what serves. Releases lie in the
cluster's control store too, which outlives the process of our own store.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ray import cloudpickle, serve

# --- private names of Ray: pinned by tests/test_ray_contract.py
# internal_kv: a store that was restarted would have lost every release; an actor has no other
#   place that lives as long as the cluster.
from ray.experimental import internal_kv

# --- end of private names

SPACE = b"workbench-releases"
LARGEST_BYTES = 64 * 2**20  # the control store keeps everything in memory; beyond, only we do
# By application, deployment and version: package, revision and digests.
Blobs = dict[tuple[str, str, str], tuple[bytes, int, dict[str, Any]]]


@dataclass
class Guard:
    """What to put back when the notebook's process that changes an application has died.

    Attributes:
        until: when it must have been heard of, on the loop's clock.
        application: the pickled Serve application that served before, or b"" for none.
        route_prefix: path of its ingress.
        back: package, revision and digests by cell, where code was exchanged already.
        owner: the notebook's process.
    """

    until: float
    application: bytes
    route_prefix: str
    back: Blobs
    owner: str


class Releases:
    """Pickled releases by application. All that can wait for the cluster is asynchronous."""

    def __init__(self) -> None:
        self._here: dict[str, bytes] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, app: str, release: bytes) -> None:
        """Keep the release that serves now; b"" forgets it. It is written behind the caller."""
        self._here[app] = release
        task = asyncio.create_task(asyncio.to_thread(self._write, app))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def of(self, app: str) -> bytes:
        """The release that serves, or b"" where none is known."""
        if app not in self._here:
            found = await asyncio.to_thread(_read, app)
            self._here.setdefault(app, found)
        return self._here[app]

    def _write(self, app: str) -> None:
        if not internal_kv._internal_kv_initialized():
            return  # no cluster
        release = self._here[app]  # the newest, whichever write comes first
        if release and len(release) <= LARGEST_BYTES:
            internal_kv._internal_kv_put(app.encode(), release, overwrite=True, namespace=SPACE)
        else:
            internal_kv._internal_kv_del(app.encode(), namespace=SPACE)


def _read(app: str) -> bytes:
    if not internal_kv._internal_kv_initialized():
        return b""
    return bytes(internal_kv._internal_kv_get(app.encode(), namespace=SPACE) or b"")


def put_back(app: str, application: bytes, route_prefix: str) -> None:
    """Have Serve run an application that served before, or delete what never served."""
    if not application:
        serve.delete(app, _blocking=False)
        return
    target = serve.RunTarget(cloudpickle.loads(application), name=app, route_prefix=route_prefix)
    serve.run_many(
        [target],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
