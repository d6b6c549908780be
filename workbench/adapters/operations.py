"""Python functions for the operations of an ingress, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import jsonschema

from workbench.core.nearest import suggestion
from workbench.core.openapi import FILES, FORM, JSON, Operation, Parameter, operations
from workbench.errors import PlanError

Send = Callable[..., Any]
PIECEWISE = ("text/event-stream", "application/x-ndjson", "application/jsonl")


class Operations:
    """One function per operation: `app.call.chat(query="...")`.

    Attribute access reads the OpenAPI document of the service once, and again when a name is
    unknown or the service was deployed again.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], stream: Send) -> None:
        self._fetch, self._stream = fetch, stream
        self._known: dict[str, Operation] | None = None

    def invalidate(self) -> None:
        """Read the document again at the next use."""
        self._known = None

    def __dir__(self) -> list[str]:
        return [*self._operations(), "invalidate"]

    def __repr__(self) -> str:
        return "\n".join(str(each) for each in self._operations().values()) or "no operations"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The function of an operation.

        Raises:
            AttributeError: the service has no operation of that name.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._operations():
            self.invalidate()
        if name not in self._operations():
            known = suggestion(name, self._operations())
            raise AttributeError(f"the service has no operation {name!r}; {known}")
        return self._function(self._operations()[name])

    def _operations(self) -> dict[str, Operation]:
        if self._known is None:
            self._known = {each.name: each for each in operations(self._fetch())}
        return self._known

    def _function(self, operation: Operation) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            return self._run(operation, arguments)

        call.__name__ = call.__qualname__ = operation.name
        call.__doc__ = f"{operation.summary}\n\n{operation.method} {operation.path}".strip()
        call.__signature__ = operation.signature  # type: ignore[attr-defined]  # inspect reads it
        return call

    def _run(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        values = _checked(operation, arguments)
        path, options = request_of(operation, values)
        return _content(self._stream(path, method=operation.method, **options))


def _checked(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = {parameter.argument: parameter for parameter in operation.parameters}
    for name in arguments:
        if name not in known:
            raise _refused(operation, f"there is no argument {name!r}; {suggestion(name, known)}")
    missing = [p.argument for p in known.values() if p.required and p.argument not in arguments]
    if missing:
        raise _refused(operation, f"{', '.join(missing)} must be given")
    values = {name: _plain(value) for name, value in arguments.items()}
    for name, value in values.items():
        if operation.media == FILES and known[name].place == "field":
            continue
        _check_value(operation, known[name], value)
    return values


def _check_value(operation: Operation, parameter: Parameter, value: Any) -> None:
    schema = {**parameter.schema, "components": {"schemas": operation.components}}
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error is not None:
        raise _refused(operation, f"{parameter.argument}={value!r}: {error.message}")


def _refused(operation: Operation, problem: str) -> PlanError:
    return PlanError(
        f"{operation.name}: {problem}; nothing was sent",
        f"call it as {operation.name}{operation.signature}",
    )


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else value


def request_of(operation: Operation, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Turn checked arguments into a path and httpx's options."""
    path, options = operation.path, dict[str, Any]()
    fields: dict[str, Any] = {}
    for parameter in operation.parameters:
        if parameter.argument not in values:
            continue
        value = values[parameter.argument]
        if parameter.place == "path":
            path = re.sub(
                r"\{" + re.escape(parameter.name) + r"(:[^}]*)?\}",
                quote(str(value), safe="/"),
                path,
            )
        elif parameter.place in ("query", "header", "cookie"):
            key = {"query": "params", "header": "headers", "cookie": "cookies"}[parameter.place]
            sent = value if parameter.place == "query" else str(value)
            if value is not None:
                options.setdefault(key, {})[parameter.name] = sent
        elif parameter.place == "body":
            options["json" if operation.media == JSON else "content"] = value
        else:
            fields[parameter.name] = value
    return path, {**options, **_encoded(fields, operation.media)}


def _encoded(fields: dict[str, Any], media: str) -> dict[str, Any]:
    if media == JSON:
        return {"json": fields}
    if media == FORM:
        return {"data": fields}
    if media == FILES:
        files = {k: _file(v) for k, v in fields.items() if not isinstance(v, str | int | float)}
        return {"files": files, "data": {k: v for k, v in fields.items() if k not in files}}
    return {}


def _file(value: Any) -> Any:
    return value.read_bytes() if hasattr(value, "read_bytes") else value


def _content(stream: Any) -> Any:
    """The whole answer, or the stream itself when it comes piece by piece."""
    response = stream.response
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind in PIECEWISE:
        return stream
    response.read()
    if kind == JSON:
        return response.json()
    return response.text if kind.startswith("text/") or not kind else response.content
