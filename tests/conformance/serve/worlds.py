"""The two worlds in which a case runs: plain `serve.run`, and `workbench.deploy`."""

from __future__ import annotations

import contextlib
import json
import linecache
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve

import workbench
from workbench.adapters import ray_serve
from workbench.core.status import word

from .case import Case

READY_S = 240.0
PLAIN, OURS = "plain", "ours"
ENDS = ("RUNNING", "DEPLOY_FAILED")


class World:
    """One case in one world.

    Args:
        case: what runs.
        kind: PLAIN or OURS.
        folder: where the program may leave files.
    """

    def __init__(self, case: Case, kind: str, folder: Path) -> None:
        self.case, self.kind = case, kind
        self.app_name = f"{kind}-{case.name}"
        self._module = types.ModuleType("__main__")
        self._folder = folder / self.app_name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._cells = 0
        vars(self._module).update(FOLDER=str(self._folder), APP=self.app_name)

    @contextlib.contextmanager
    def _main(self) -> Iterator[None]:
        """Be the module `__main__`, as a notebook's namespace is."""
        before = sys.modules["__main__"]
        sys.modules["__main__"] = self._module
        try:
            yield
        finally:
            sys.modules["__main__"] = before

    def run(self, text: str) -> None:
        """Run a cell."""
        self._cells += 1
        name = f"<{self.app_name} cell {self._cells}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        with self._main():
            exec(compile(text, name, "exec", dont_inherit=True), vars(self._module))

    def deploy(self, wait: bool = True) -> None:
        """Deploy `app`, or deploy it again."""
        target, prefix = vars(self._module)["app"], f"/{self.app_name}"
        with self._main():
            if self.kind == OURS:
                workbench.deploy(target, name=self.app_name, route_prefix=prefix, wait=wait)
            elif wait:
                serve.run(target, name=self.app_name, route_prefix=prefix)
            else:
                serve.run_many(
                    [serve.RunTarget(target, name=self.app_name, route_prefix=prefix)],
                    wait_for_ingress_deployment_creation=False,
                    wait_for_applications_running=False,
                )

    def delete(self) -> None:
        """Delete the application and wait until it is gone."""
        if self.kind == OURS:
            workbench.delete(self.app_name)
        else:
            serve.delete(self.app_name)

    def ask(self) -> Any:
        """Answers to the questions, fit for JSON and without the application's name."""
        vars(self._module).update(self.names())
        self.run(self.case.questions)
        text = json.dumps(vars(self._module)["seen"], sort_keys=True, default=str)
        return json.loads(text.replace(self.app_name, "APP").replace(str(self._folder), "FOLDER"))

    def names(self) -> dict[str, Any]:
        """What questions may use."""
        return {
            "handle": self._handle(),
            "handle_of": self._handle_of,
            "url": f"http://127.0.0.1:{ray_serve.http_port()}/{self.app_name}",
            "http": httpx.Client(
                base_url=f"http://127.0.0.1:{ray_serve.http_port()}/{self.app_name}",
                timeout=60,
                follow_redirects=True,
            ),
            "cell": self.run,
            "redeploy": self.deploy,
            "delete": self.delete,
            "error": error,
            "until": until,
            "status": self._status,
            "folder": self._folder,
            "thread": thread,
        }

    def _status(self) -> Any:
        """What Serve says, as `serve.status()` does; that imports policies from `__main__`."""
        found = ray_serve.details()[self.app_name]
        states = {
            name: Counter(word(each["state"]) for each in deployment["replicas"])
            for name, deployment in found["deployments"].items()
        }
        return types.SimpleNamespace(
            status=word(found["status"]),
            deployments={n: types.SimpleNamespace(replica_states=s) for n, s in states.items()},
        )

    def _handle(self) -> Any:
        if self.kind == OURS:
            running = self.app_name in [each.name for each in workbench.apps()]
            return workbench.connect(self.app_name).handle() if running else None
        return serve.get_app_handle(self.app_name)

    def _handle_of(self, deployment: str) -> Any:
        if self.kind == OURS:
            return workbench.connect(self.app_name).handle(deployment)
        return serve.get_deployment_handle(deployment, self.app_name)


def error(ask: Callable[[], Any]) -> list[str]:
    """Class and first line of what is raised; the user's own where Ray wraps it."""
    try:
        return ["no error", repr(ask())]
    except Exception as raised:
        cause = getattr(raised, "cause", None) or raised
        return [type(cause).__name__, str(cause).splitlines()[0] if str(cause) else ""]


def until(ask: Callable[[], Any], wanted: Any = True, timeout_s: float = 40.0) -> Any:
    """Ask until the answer is as wanted, or the time is over; the last answer."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            answer = ask()
        except Exception as raised:
            answer = repr(raised)
        if answer == wanted or time.monotonic() > end:
            return answer
        time.sleep(0.1)


def thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin work beside; what is returned waits for its outcome."""
    return ThreadPoolExecutor(1).submit(work).result


class Group:
    """Cases that are deployed at once, in both worlds, to save time."""

    def __init__(self, cases: Sequence[Case], folder: Path) -> None:
        self.cases = {each.name for each in cases}
        self.worlds = {
            (each.name, kind): World(each, kind, folder) for each in cases for kind in (PLAIN, OURS)
        }
        self.failed: dict[tuple[str, str], Exception] = {}
        for key, world in self.worlds.items():
            try:
                world.run(world.case.program)
                world.deploy(wait=False)
            except Exception as raised:  # the case says so, not its neighbours
                self.failed[key] = raised
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + READY_S
        waited = {w.app_name for key, w in self.worlds.items() if key not in self.failed}
        seen: set[str] = set()
        while time.monotonic() < end:
            found = ray_serve.details()
            waited -= {n for n in waited if n in found and word(found[n]["status"]) in ENDS}
            waited -= seen - set(found)  # a failed first deploy is taken away again
            seen |= set(found)
            if not waited:
                return
            time.sleep(0.2)

    def ask(self, case: Case, kind: str) -> Any:
        """What a case answers in one of the worlds."""
        if (case.name, kind) in self.failed:
            return error(self._raise(self.failed[case.name, kind]))
        world = self.worlds[case.name, kind]
        there = ray_serve.details()
        if world.app_name in there and word(there[world.app_name]["status"]) == "DEPLOYING":
            until(lambda: word(ray_serve.details()[world.app_name]["status"]), "RUNNING", 30)
        try:
            return world.ask()
        except Exception as raised:
            return ["the questions raised", *error(self._raise(raised))]

    def _raise(self, what: Exception) -> Callable[[], Any]:
        def again() -> Any:
            raise what

        return again

    def end(self) -> None:
        """Delete everything."""
        there = ray_serve.details() if ray.is_initialized() else {}
        for world in self.worlds.values():
            if world.app_name in there and world.kind == OURS:
                world.delete()
            elif world.app_name in there:
                serve.delete(world.app_name, _blocking=False)
