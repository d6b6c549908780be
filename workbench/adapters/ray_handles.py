"""Serve handles: usable inside a cell, and our questions to the hosts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from ray import serve

# --- private names of Ray: pinned by tests/test_ray_contract.py
# SingletonThreadRouter._asyncio_loop: where the routers of this process's handles run. What they
#   report every few seconds would start a Ray of its own once this process is detached.
# LongPollClient: by which they hear of replicas; each has a public `stop`, but nothing lists them.
# SharedRouterLongPollClient: one per controller, remembered; a stopped one would be used again.
from ray.serve._private.long_poll import LongPollClient
from ray.serve._private.router import SharedRouterLongPollClient, SingletonThreadRouter
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator


def _routers_loop() -> asyncio.AbstractEventLoop | None:
    loop: asyncio.AbstractEventLoop | None = SingletonThreadRouter._asyncio_loop
    return loop


def _stop_listening() -> None:
    SharedRouterLongPollClient.get_or_create.cache_clear()
    for each in gc.get_objects():
        if type(each) is LongPollClient:
            each.stop()


# --- end of private names
ANSWER_TIMEOUT_S = 5.0
QUIET_S = 2.0


def handle(app: str, deployment: str, method: str = "__call__") -> DeploymentHandle[Any]:
    """A handle whose responses can also be waited for inside a notebook cell."""
    plain = serve.get_deployment_handle(deployment, app)
    return _usable_in_cells(plain.options(method_name=method))


def ask_all(
    app: str, deployment: str, method: str, *args: Any, timeout_s: float = ANSWER_TIMEOUT_S
) -> list[Any]:
    """Call a method of every replica of a deployment.

    Args:
        app: application name.
        deployment: deployment name.
        method: name of the method.
        args: its arguments.
        timeout_s: seconds that all answers together may take.

    Returns:
        Their answers in no order; none where no replica runs.

    Raises:
        TimeoutError: they took longer.
    """
    try:
        answers = serve.get_deployment_handle(deployment, app).broadcast(method, *args)
        return list(_off_the_loop(lambda: answers.results(timeout_s=timeout_s)))
    except serve.exceptions.DeploymentUnavailableError:
        return []  # scaled to zero, and no question of ours starts a process


def stop_background() -> None:
    """End what the handles of this process do by themselves; before it is detached from Ray."""
    loop = _routers_loop()
    if loop is None or not loop.is_running():
        return
    _stop_listening()
    with contextlib.suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(QUIET_S)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def failure_text(app: str, deployment: str, request_id: str) -> str:
    """The traceback of a request that failed in any replica of a deployment, or ""."""
    texts = ask_all(app, deployment, "workbench_failure", request_id)
    return next((text for text in texts if text), "")


def requests(app: str, deployment: str) -> list[tuple[float, str, str, int, float]]:
    """Requests that the replicas of an ingress answered; see `Figures.recent`."""
    answers = ask_all(app, deployment, "workbench_requests")
    return [tuple(each) for answer in answers for each in answer]


def _off_the_loop(wait: Callable[[], Any]) -> Any:
    """Serve refuses to wait in a thread whose event loop runs, as a cell's does."""
    with ThreadPoolExecutor(max_workers=1) as helper:
        return helper.submit(wait).result()


class _CellResponse(DeploymentResponse[Any]):  # type: ignore[misc]  # ray is untyped
    def result(self, **options: Any) -> Any:
        return _off_the_loop(lambda: super(_CellResponse, self).result(**options))


class _CellStream(DeploymentResponseGenerator[Any]):  # type: ignore[misc]  # as above
    def __next__(self) -> Any:
        return _off_the_loop(super().__next__)


class _CellHandle(DeploymentHandle[Any]):  # type: ignore[misc]  # as above
    def options(self, **options: Any) -> DeploymentHandle[Any]:
        return _usable_in_cells(super().options(**options))

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        response: Any = super().remote(*args, **kwargs)
        streams = isinstance(response, DeploymentResponseGenerator)
        response.__class__ = _CellStream if streams else _CellResponse
        return response

    def __reduce__(self) -> Any:
        return serve.get_deployment_handle, (self.deployment_name, self.app_name)


def _usable_in_cells(plain: DeploymentHandle[Any]) -> DeploymentHandle[Any]:
    plain.__class__ = _CellHandle  # same state, other waiting
    return plain


def is_hosted(app: str, deployment: str) -> bool:
    """Whether a deployment's replicas run inside our hosts."""
    try:
        ask_all(app, deployment, "workbench_failure", "")
    except ray.exceptions.RayTaskError:
        return False  # "Tried to call a method that does not exist"
    return True
