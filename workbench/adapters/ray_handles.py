"""Serve handles: usable inside a cell, and our questions to the hosts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

ANSWER_TIMEOUT_S = 5.0


def handle(app: str, deployment: str, method: str = "__call__") -> DeploymentHandle[Any]:
    """A handle whose responses can also be waited for inside a notebook cell."""
    plain = serve.get_deployment_handle(deployment, app)
    return _usable_in_cells(plain.options(method_name=method))


def ask_all(
    app: str, deployment: str, method: str, *args: Any, timeout_s: float = 5.0
) -> list[Any]:
    """Call a method of every replica of a deployment; returns their answers in no order."""
    answers = serve.get_deployment_handle(deployment, app).broadcast(method, *args)
    return list(_off_the_loop(lambda: answers.results(timeout_s=ANSWER_TIMEOUT_S)))


def speaks_asgi(app: str, deployment: str) -> bool:
    """Whether a deployment's own `__call__` is Serve's ASGI entry, not the user's."""
    return any(ask_all(app, deployment, "workbench_speaks_asgi"))


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
