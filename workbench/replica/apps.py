"""ASGI applications for what a deployment is: FastAPI, Serve's class-based views, plain objects."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import Response, StreamingResponse

from .routes import drop_stale, forget_analyses, owner_of, walk

SCALARS = (str, int, float, bool)
REQUEST_NAMES = ("request", "req", "http_request")


def standalone(app: Any) -> Any:
    """Prepare a FastAPI or other ASGI application that came from a notebook.

    A cell that is run again on the same `FastAPI()` object leaves its old routes in front of the
    new ones; they are dropped.
    """
    if isinstance(app, APIRouter) and not isinstance(app, FastAPI):
        router, app = app, FastAPI()
        app.include_router(router)
    if hasattr(app, "middleware_stack"):
        app.middleware_stack = None  # built by a test client in the notebook, perhaps
    if hasattr(app, "openapi_schema"):
        app.openapi_schema = None  # the same
    if hasattr(app, "router"):
        drop_stale(app)
    return app


def class_based(app: Any, instance: Any) -> Any:
    """Bind the routes of a class wrapped by `@serve.ingress` to one instance.

    Serve gives the methods' `self` as a FastAPI dependency that returns the replica's own object.
    Here that object is the host, so the dependency is exchanged.
    """
    app = standalone(app)
    drop_stale(app, type(instance))
    forget_analyses(app)
    for _, route in walk(app):
        if owner_of(route, type(instance)) is None:
            continue
        _bind(route, instance)
    return app


def from_object(target: Any, name: str) -> FastAPI:
    """Give a plain object an HTTP interface made from its signatures.

    Args:
        target: an instance, a function, a `torch.nn.Module` or a `transformers` pipeline.
        name: title of the API.

    Returns:
        `POST /` (and `GET /` when all parameters are scalars) for a callable, `POST /<method>` for
        each public method. Parameters travel in a JSON object under their own names. A function
        whose one parameter is the request gets it as it is, for every verb.
    """
    api = FastAPI(title=name)
    if callable(target):
        call = _model_call(target) or target
        operation = getattr(target, "__name__", None) or "predict"
        _add(api, "/", operation if operation.isidentifier() else "predict", call)
    if not inspect.isroutine(target) and _model_call(target) is None:
        for method, function in _public_methods(target):
            _add(api, f"/{method}", method, function)
    return api


def _public_methods(target: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, _ in inspect.getmembers(type(target), inspect.isroutine):
        if not name.startswith("_") and name not in ("check_health", "reconfigure"):
            yield name, getattr(target, name)


def _add(api: FastAPI, path: str, name: str, function: Callable[..., Any]) -> None:
    signature = _signature(function)
    parameters = list(signature.parameters.values())
    if _takes_request(parameters):
        verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        endpoint = _endpoint(function, [parameters[0].replace(annotation=Request)], name)
        api.add_api_route(path, endpoint, methods=verbs, response_model=None, name=name)
        return
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    body = [_as(p, Annotated[_type(p), Body(embed=True)]) for p in named]
    api.add_api_route(
        path, _endpoint(function, body, name), methods=["POST"], response_model=None, name=name
    )
    if all(_type(p) in (*SCALARS, Any) for p in named):
        query = [_as(p, Annotated[str if _type(p) is Any else _type(p), Query()]) for p in named]
        api.add_api_route(
            path,
            _endpoint(function, query, name),
            methods=["GET"],
            response_model=None,
            name=name,
            include_in_schema=False,
        )


def _endpoint(function: Callable[..., Any], parameters: list[Any], name: str) -> Any:
    keep = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}

    def arguments(values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        return [v for k, v in values.items() if k in keep], {
            k: v for k, v in values.items() if k not in keep
        }

    if inspect.iscoroutinefunction(inspect.unwrap(function)) or _call_is_async(function):

        async def endpoint(**values: Any) -> Any:
            positional, keywords = arguments(values)
            return _jsonable(await function(*positional, **keywords))

    else:

        def endpoint(**values: Any) -> Any:  # type: ignore[misc]  # sync twin: runs in a thread
            positional, keywords = arguments(values)
            return _jsonable(function(*positional, **keywords))

    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    endpoint.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]  # FastAPI reads it
    endpoint.__name__, endpoint.__doc__ = name, inspect.getdoc(function)
    return endpoint


def _call_is_async(function: Any) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004 - its kind is asked for
    return inspect.iscoroutinefunction(call)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Response):
        return value
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        pieces: Any = value
        return StreamingResponse(pieces, media_type="text/plain")
    return jsonable_encoder(value, custom_encoder=_encoders(value))


def _encoders(value: Any) -> dict[Any, Callable[[Any], Any]]:
    encoders: dict[Any, Callable[[Any], Any]] = {}
    for module, names in (("numpy", ("ndarray", "generic")), ("torch", ("Tensor",))):
        found = sys.modules.get(module)
        for name in names:
            kind = getattr(found, name, None)
            if kind is not None:
                encoders[kind] = lambda array: array.tolist()
    return encoders


def _model_call(target: Any) -> Callable[..., Any] | None:
    kinds = {f"{k.__module__}.{k.__qualname__}" for k in type(target).__mro__}
    if "torch.nn.modules.module.Module" in kinds:
        return _torch_call(target)
    if any(kind.startswith("transformers.pipelines.base.Pipeline") for kind in kinds):
        return _pipeline_call(target)
    return None


def _torch_call(module: Any) -> Callable[..., Any]:
    def predict(inputs: list[Any]) -> Any:
        """Run the module on one batch of nested lists; returns nested lists."""
        import torch

        parameter = next(module.parameters(), torch.empty(0))
        with torch.inference_mode():
            return module(torch.as_tensor(inputs, dtype=parameter.dtype, device=parameter.device))

    return predict


def _pipeline_call(pipeline: Any) -> Callable[..., Any]:
    def predict(inputs: Any, parameters: dict[str, Any] | None = None) -> Any:
        """Run the pipeline on `inputs`; `parameters` are its call's keyword arguments."""
        return pipeline(inputs, **(parameters or {}))

    return predict


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError):
        return inspect.signature(function)


def _takes_request(parameters: list[inspect.Parameter]) -> bool:
    if len(parameters) != 1:
        return False
    only = parameters[0]
    if only.annotation is only.empty:
        return only.name in REQUEST_NAMES
    return inspect.isclass(only.annotation) and issubclass(only.annotation, _request_class())


def _request_class() -> type:
    return Request.__mro__[1]  # starlette's HTTPConnection: Request and its kin


def _type(parameter: inspect.Parameter) -> Any:
    if parameter.annotation is parameter.empty or isinstance(parameter.annotation, str):
        return Any
    return parameter.annotation


def _as(parameter: inspect.Parameter, annotation: Any) -> inspect.Parameter:
    return parameter.replace(annotation=annotation)


def _bind(route: Any, instance: Any) -> None:
    """Give a method's route its `self`: the dependency by which Serve marked the parameter.

    It is exchanged rather than overridden: FastAPI analyses an override at every request.
    """
    signature = inspect.signature(route.endpoint)
    first, *rest = signature.parameters.values() or [None]
    marked = getattr(first.default, "dependency", None) if first is not None else None
    if first is None or marked is None:
        return

    async def itself() -> Any:  # not sync: those run in a thread
        return instance

    parameters = [first.replace(default=Depends(itself)), *rest]
    route.endpoint.__signature__ = signature.replace(parameters=parameters)
    for dependant in route.dependant.dependencies:
        if dependant.call is marked:
            dependant.call = itself
