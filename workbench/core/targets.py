"""What a target that is no Serve object is, told from its type alone."""

from __future__ import annotations

import contextlib
import inspect
import sys
from typing import Any, get_args

from workbench.errors import PlanError

from .graph import kebab

KINDS = (
    "a bound Serve application, a Serve deployment, a FastAPI app, a class, a function, "
    "a torch.nn.Module or a transformers pipeline"
)
ASGI = {"starlette.applications.Starlette", "starlette.routing.Router"}


def is_asgi(target: Any) -> bool:
    """Whether it is a FastAPI or Starlette application or router."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(target).__mro__}
    return bool(bases & ASGI)


def python_name(target: Any) -> str:
    """The name of a class or function, else that of the object's class."""
    return str(getattr(target, "__name__", type(target).__name__)).strip("<>") or "app"


def suggested_name(target: Any) -> str:
    """The application name that a target suggests: a FastAPI app's title, else its Python name."""
    if is_asgi(target):
        title = getattr(target, "title", "FastAPI")
        return "api" if title == "FastAPI" else kebab(title)
    return kebab(python_name(target))


def resolve_annotations(target: Any) -> None:
    """Turn annotations that are text (`from __future__ import annotations`) into types.

    They are made from names of the module where the code stands, which a replica does not have.

    Args:
        target: a function with what it depends on by FastAPI's `Depends`, or a class.
    """
    functions = list(vars(target).values()) if inspect.isclass(target) else [target]
    for function in functions:
        if inspect.isfunction(function):
            _resolve(function)
            for parameter in inspect.signature(function).parameters.values():
                marks = (parameter.default, *get_args(parameter.annotation)[1:])
                for mark in marks:
                    resolve_annotations(getattr(mark, "dependency", None))


def _resolve(function: Any) -> None:
    module = sys.modules.get(function.__module__)
    home = {**function.__globals__, **(vars(module) if module is not None else {})}
    for name, annotation in function.__annotations__.items():
        function.__annotations__[name] = _type(annotation, home)
    shown = getattr(function, "__signature__", None)  # Serve leaves one on routes of a class
    if isinstance(shown, inspect.Signature):
        parameters = [
            each.replace(annotation=_type(each.annotation, home))
            for each in shown.parameters.values()
        ]
        answer = _type(shown.return_annotation, home)
        function.__signature__ = shown.replace(parameters=parameters, return_annotation=answer)


def _type(annotation: Any, home: dict[str, Any]) -> Any:
    if isinstance(annotation, str):
        with contextlib.suppress(Exception):  # a name that only type checkers know
            return eval(annotation, home)
    return annotation


def check_deployable(target: Any) -> None:
    """Refuse what can never answer a request.

    Raises:
        PlanError: the target is of no known kind.
    """
    if not callable(target):
        raise PlanError(f"cannot deploy {target!r}, a {type(target).__name__}", f"pass {KINDS}")
