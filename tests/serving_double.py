"""Serve, its replicas and the cluster's store without a cluster.

The store and the way to it are the real ones; replicas and Serve are small programs that keep to
what the real ones say and do. Every call to them goes through `Faults`, so that each step of a
deploy can be the one that fails.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from workbench.adapters import ray_serve
from workbench.adapters.ray_store import CodeStore
from workbench.core.capacity import Room
from workbench.core.cluster import ClusterFacts
from workbench.errors import ClusterError
from workbench.replica import package as packages
from workbench.replica.releases import Releases
from workbench.replica.store import EXCHANGE, PREPARE, Store
from workbench.runtime.cluster import Cluster
from workbench.runtime.request import Look

FACTS = ClusterFacts("127.0.0.1:1", "http://127.0.0.1:1", "", 8.0, 0.0, False, 1, "2.60.0")
FAILED_TO_START = "The deployment failed to start 1 times in a row. Error:\n"


class Faults:
    """Raises at chosen calls, before or after what was called is done."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at: int | None = None
        self.after = self.lasting = False
        self.error: Callable[[], BaseException | None] = KeyboardInterrupt

    def set(
        self,
        error: Callable[[], BaseException | None],
        at: int,
        after: bool = False,
        lasting: bool = False,
    ) -> None:
        """Raise at call number `at` from now; at every later one too when `lasting`.

        Args:
            error: makes what is raised; None lets the call succeed.
            at: number of the call, from 0.
            after: what is called is done first.
            lasting: every later call fails as well.
        """
        self.calls.clear()
        self.error, self.at, self.after, self.lasting = error, at, after, lasting

    def clear(self) -> None:
        """Let everything succeed, and count from nothing."""
        self.calls.clear()
        self.at = None

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make a call, or raise."""
        number = len(self.calls)
        self.calls.append(name)
        hit = self.at is not None and (number == self.at or (self.lasting and number > self.at))
        if hit and not self.after:
            self._hit()
        result = call()
        if hit and self.after:
            self._hit()
        return result

    def _hit(self) -> None:
        error = self.error()
        if error is not None:  # else it did something to the cluster
            raise error


class Apart(Releases):
    """Releases that stay here, also where the tests' own cluster runs."""

    async def of(self, app: str) -> bytes:
        """The release that serves, or b"" where none is known."""
        return self._here.get(app, b"")

    def _write(self, app: str) -> None:
        """The cluster's control store is not asked."""


class LocalStore(CodeStore):
    """The real store in an event loop of this process, asked as the notebook asks it."""

    def __init__(self, faults: Faults) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.faults, self._guarding = faults, self._done()
        self._followers: list[Callable[[], Any]] = []
        self.store = self._empty()
        self._actor: Any = _Actor(self)

    def restart(self) -> None:
        """Begin with an empty store, as after a crash; what the cluster keeps stays."""
        kept = self.store._releases
        self.wait(self._cancel())
        self.store = self._empty()
        self.store._releases = kept
        for follow in self._followers:
            self.begin(follow)

    def _empty(self) -> Any:
        made: Any = object.__new__(Store)
        self.wait(made.__init__())  # as Ray does it
        made._releases = Apart()
        return made

    def close(self) -> None:
        """End the loop."""
        self.wait(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    async def _cancel(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def wait(self, work: Any) -> Any:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def begin(self, follow: Callable[[], Any]) -> None:
        """Have a replica follow the store, and every store after it."""
        if follow not in self._followers:
            self._followers.append(follow)
        asyncio.run_coroutine_threadsafe(follow(), self.loop)

    def _done(self) -> Any:
        made: Any = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop)
        return made

    def _answered(self, reply: Any) -> Any:
        return reply.result(30)


class _Actor:
    def __init__(self, local: LocalStore) -> None:
        self._local = local

    def __getattr__(self, name: str) -> Any:
        return _Method(self._local, name)


class _Method:
    def __init__(self, local: LocalStore, name: str) -> None:
        self._local, self._name = local, name

    def remote(self, *args: Any) -> Any:
        local, bound = self._local, getattr(self._local.store, self._name)

        def call() -> Any:
            reply = asyncio.run_coroutine_threadsafe(bound(*args), local.loop)
            reply.exception(30)
            return reply

        return local.faults.around(f"store.{self._name}", call)


@dataclass
class Replica:
    """A process of a deployment: it has one code, and takes the store's orders."""

    app: str
    deployment: str
    version: str
    replica_id: str
    package: packages.Package
    state: str = "RUNNING"
    blob: bytes = b""
    before: tuple[packages.Package, bytes] | None = None
    refuses: bool = False

    async def follow(self, serve: FakeServe) -> None:
        """What `host` and `link` do."""
        key, seen, done = (self.app, self.deployment, self.version), -1, None
        while self.state == "RUNNING":
            store = serve.store.store
            if seen < 0:
                held = (self.package.revision, self.package.digests, self.blob)
                newer, seen = await store.enter(key, self.replica_id, held)
                if newer:
                    self._take(newer)
                    seen = -1
                    continue
                await store.remember(key)
            order = await store.next_order(key, self.replica_id, seen, done)
            done = None
            if order is not None and order[0] < 0:
                seen = -1
            elif order is not None:
                seen, what, blob = order
                done = self._obey(what, blob)

    def _take(self, blob: bytes) -> None:
        self.before = self.package, self.blob
        self.package, self.blob = packages.unpickled(blob), blob

    def _obey(self, what: str, blob: bytes) -> str:
        if what == PREPARE:
            self.before = None
            return "ValueError: refused" if self.refuses else ""
        if what == EXCHANGE:
            self._take(blob)
        elif self.before is not None:
            (self.package, self.blob), self.before = self.before, None
        return ""


@dataclass
class Deployed:
    """What Serve was told of one deployment, and its processes."""

    version: str
    stamp: float
    replicas: list[Replica] = field(default_factory=list)
    message: str = ""
    status: str = "HEALTHY"


class FakeServe:
    """Serve: starts and ends replicas by version, new ones before old ones."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.store = LocalStore(self.faults)
        self.apps: dict[str, dict[str, Deployed]] = {}
        self.prefixes: dict[str, str] = {}
        self.starting: Callable[[packages.Package], str] = lambda package: ""
        self.gaps: list[str] = []
        self._numbers = itertools.count(1)

    def details(self) -> Mapping[str, Any]:
        """As Serve's REST schema has them."""
        return dict(self.faults.around("serve.details", self._details))

    def run(self, application: Any, app: str, route_prefix: str) -> None:
        """Take the application up."""
        self.faults.around("serve.run", lambda: self._run(application, app, route_prefix))

    def delete(self, app: str) -> None:
        """Forget the application."""
        self.faults.around("serve.delete", lambda: self._delete(app))

    def room(self) -> Room:
        """Plenty."""
        return Room({"CPU": 8.0}, {"CPU": 8.0}, {"CPU": 8.0})

    def routed(self, app: str, route_prefix: str | None, replicas: Mapping[str, bool]) -> bool:
        """At once."""
        return True

    def keep_worker(self) -> None:
        """There are none."""

    def close(self) -> None:
        """End the replicas and the store."""
        for app in list(self.apps):
            self._delete(app)
        self.store.close()

    def answers(self, app: str) -> dict[str, set[int]]:
        """Revisions of the code that answers, by deployment."""
        return {
            name: {r.package.revision for r in each.replicas if r.state == "RUNNING"}
            for name, each in self.apps.get(app, {}).items()
        }

    def _details(self) -> dict[str, Any]:
        return {app: self._app(app) for app in self.apps}

    def _app(self, app: str) -> dict[str, Any]:
        found = self.apps[app]
        failed = any(each.status == "DEPLOY_FAILED" for each in found.values())
        busy = any(each.status == "UPDATING" for each in found.values())
        return {
            "status": "DEPLOY_FAILED" if failed else "DEPLOYING" if busy else "RUNNING",
            "route_prefix": self.prefixes[app],
            "message": "",
            "deployments": {name: _shown(name, each) for name, each in found.items()},
        }

    def _run(self, application: Any, app: str, route_prefix: str) -> None:
        wanted: dict[str, Any] = {}
        _walk(application, wanted)
        self.prefixes[app] = route_prefix
        known = self.apps.setdefault(app, {})
        for name in [n for n in known if n not in wanted]:
            self._end(known.pop(name).replicas)
        for name, (deployment, blob) in wanted.items():
            package = packages.unpickled(blob)
            stamp = deployment._deployment_config.graceful_shutdown_timeout_s
            here = known.setdefault(name, Deployed(package.version, stamp))
            here.version, here.stamp = package.version, stamp
            self._settle(app, here, package, deployment.num_replicas)

    def _settle(self, app: str, here: Deployed, package: packages.Package, count: int) -> None:
        old = [each for each in here.replicas if each.version != package.version]
        stuck = [r for r in old if r.state == "STARTING"]
        here.replicas = [r for r in here.replicas if r not in stuck]
        here.message, here.status = "", "HEALTHY"
        lacking = count - sum(each.version == package.version for each in here.replicas)
        trouble = self.starting(package) if lacking > 0 else ""
        if trouble:
            state = "STARTING"
            here.message = "" if trouble == "hangs" else f"{FAILED_TO_START}{trouble}"
            here.status = "UPDATING" if trouble == "hangs" else "DEPLOY_FAILED"
        else:
            state = "RUNNING"
        for _ in range(lacking if not trouble or trouble == "hangs" else 0):
            number = f"r{next(self._numbers)}"
            made = Replica(app, package.deployment, package.version, number, package, state)
            here.replicas.append(made)
            if state == "RUNNING":
                self.store.begin(partial(made.follow, self))
        if not trouble:
            gone = [each for each in old if each not in stuck]
            self._end(gone)
            here.replicas = [each for each in here.replicas if each not in gone]

    def _delete(self, app: str) -> None:
        for each in self.apps.pop(app, {}).values():
            if any(r.state == "RUNNING" for r in each.replicas):
                self.gaps.append(app)
            self._end(each.replicas)

    def _end(self, replicas: list[Replica]) -> None:
        for each in replicas:
            each.state = "STOPPING"


def _shown(name: str, each: Deployed) -> dict[str, Any]:
    return {
        "name": name,
        "status": each.status,
        "message": each.message,
        "target_num_replicas": len(each.replicas),
        "deployment_config": {"graceful_shutdown_timeout_s": each.stamp},
        "replicas": [
            {"replica_id": r.replica_id, "state": r.state, "pid": 1} for r in each.replicas
        ],
    }


def _walk(application: Any, found: dict[str, Any]) -> None:
    deployment = ray_serve.bound(application)
    _, blob, children = deployment.init_args
    for child in children:
        _walk(child, found)
    found[deployment.name] = (deployment, blob)


class FakeLook(Look):
    """A look at the fake Serve."""

    def __init__(self, name: str, serve: FakeServe) -> None:
        self.cluster = Cluster(FACTS)
        self.name, self.store, self.serving = name, serve.store, serve
        self._alone = lambda: ""
        self._ask()

    def _ask(self) -> None:
        self._every = lambda: self.serving.details()
        self._code = self.store.committed_soon(self.name)


def dead() -> ClusterError:
    """What a dead controller gives."""
    return ClusterError("Serve's controller does not answer: ActorDiedError", "workbench doctor")
