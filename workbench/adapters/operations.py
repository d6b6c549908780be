"""Python functions for the operations of an ingress, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from workbench.core.nearest import suggestion
from workbench.core.openapi import (
    FILES,
    FORM,
    JSON,
    Operation,
    Parameter,
    default_of,
    operations,
    takes_files,
)
from workbench.errors import IngressError, PlanError, UnknownOperation

Send = Callable[..., Any]
Pairs = list[tuple[str, Any]]
STALE = (404, 405, 422)  # answers of a service that may have changed since its document was read


class Operations:
    """One function per operation: `app.call.chat(query="...")`.

    The OpenAPI document of the service is read at the first use, and again when it may be out of
    date: a name or an argument is unknown, or the service refused what it had declared. A
    function that was kept in a variable follows the service.

    Args:
        fetch: reads the OpenAPI document.
        stream: sends a request; see `Ingress.stream`.
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
        try:
            return table(list(self._operations().values())) or "no operations"
        except IngressError as error:
            return f"no operations are known: {error}"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The function of an operation.

        Raises:
            UnknownOperation: the service has none of that name; an AttributeError too.
            IngressError: the service does not describe itself, or does not answer.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        return self._function(self._operation(name))

    def _operations(self) -> dict[str, Operation]:
        known = self._known
        if known is None:
            known = self._known = {each.name: each for each in operations(self._fetch())}
        return known

    def _operation(self, name: str) -> Operation:
        if name not in self._operations():
            self.invalidate()
        known = self._operations()
        if name not in known:
            raise UnknownOperation(
                f"the service has no operation {name!r}", suggestion(name, known)
            )
        return known[name]

    def _function(self, operation: Operation) -> Callable[..., Any]:
        def call(*positional: Any, **arguments: Any) -> Any:
            return self._run(operation.name, positional, arguments)

        signature = operation.signature
        call.__name__ = call.__qualname__ = operation.name
        call.__doc__ = operation.documentation
        call.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        call.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
        return call

    def _run(self, name: str, positional: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
        operation, values = self._agreed(self._operation(name), positional, arguments)
        path, options = request_of(operation, values)
        try:
            stream = self._stream(path, method=operation.method, **options)
        except IngressError as error:
            if error.status in STALE:
                self.invalidate()
            raise
        return stream if stream.comes_in_pieces else stream.read()

    def _agreed(
        self, operation: Operation, positional: Sequence[Any], arguments: Mapping[str, Any]
    ) -> tuple[Operation, dict[str, Any]]:
        """Check the arguments; before refusing them, look whether the service has changed."""
        try:
            return operation, checked(operation, positional, arguments)
        except PlanError:
            newer = self._newer(operation)
            if newer == operation:
                raise
        return newer, checked(newer, positional, arguments)

    def _newer(self, operation: Operation) -> Operation:
        self.invalidate()
        try:
            return self._operations().get(operation.name, operation)
        except IngressError:
            return operation  # what is wrong with the arguments is the better message


def table(known: Sequence[Operation]) -> str:
    """Lay operations out as text: signature, verb and path, first line of the summary."""
    rows = [
        (f"{o.name}{o.signature}", f"{o.method} {o.path}", (o.summary.splitlines() or [""])[0])
        for o in known
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(
        f"{call:<{widths[0]}}  {route:<{widths[1]}}  {summary}".rstrip()
        for call, route, summary in rows
    )


def checked(
    operation: Operation, positional: Sequence[Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Check the arguments of a call against the schema, as plain JSON values.

    Raises:
        PlanError: an argument is unknown, missing or of a wrong kind; the advice is the signature.
    """
    known = {parameter.argument: parameter for parameter in operation.parameters}
    if positional:
        raise _refused(operation, f"{positional[0]!r} must be given by name")
    for name in arguments:
        if name not in known:
            raise _refused(operation, f"there is no argument {name!r}; {suggestion(name, known)}")
    missing = [p.argument for p in known.values() if p.required and p.argument not in arguments]
    if missing:
        raise _refused(operation, f"{', '.join(missing)} must be given")
    return {
        name: _checked_value(operation, known[name], value)
        for name, value in arguments.items()
        if not _is_left_out(operation, known[name], value)
    }


def _is_left_out(operation: Operation, parameter: Parameter, value: Any) -> bool:
    """None stands for leaving out wherever the signature shows it as the default."""
    if value is not None or parameter.required:
        return False
    if default_of(parameter, operation.components) is not None:
        return False
    in_json = parameter.place in ("field", "body") and operation.media not in (FORM, FILES)
    return not in_json or bool(_complaint(operation, parameter, None))


def _checked_value(operation: Operation, parameter: Parameter, value: Any) -> Any:
    if operation.media == FILES and takes_files(parameter.schema, operation.components):
        return _checked_files(operation, parameter, value)
    if parameter.place == "body" and isinstance(value, bytes):
        return value  # it is sent as it is
    try:
        plain = to_jsonable_python(value, fallback=_from_array)
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise _refused(operation, f"{parameter.argument}: {error}") from error
    complaint = _complaint(operation, parameter, plain)
    if complaint:
        raise _refused(operation, f"{parameter.argument}={_short(value)}: {complaint}")
    return plain


def _complaint(operation: Operation, parameter: Parameter, value: Any) -> str:
    if parameter.place == "path" and {"", ".", ".."} & set(str(value).split("/")):
        return "it would lead to another path"
    schema = {**parameter.schema, "components": operation.components}
    try:
        errors = jsonschema.Draft202012Validator(schema).iter_errors(value)
        error = jsonschema.exceptions.best_match(errors)
    except re.error:
        return ""  # the pattern is of another dialect (pydantic's is Rust's): the service checks
    if error is None:
        return ""
    where = "".join(f"[{step!r}]" for step in error.absolute_path)
    return f"at {where}: {error.message}" if where else str(error.message)


def _checked_files(operation: Operation, parameter: Parameter, value: Any) -> list[Any]:
    files = value if isinstance(value, list) else [value]
    for file in files:
        if not (isinstance(file, bytes | Path | tuple) or hasattr(file, "read")):
            problem = f"{parameter.argument}={_short(file)} is no file"
            raise _refused(operation, f"{problem}: give bytes, a pathlib.Path or an open file")
    return files


def _refused(operation: Operation, problem: str) -> PlanError:
    return PlanError(
        f"{operation.name}: {problem}; nothing was sent",
        f"call it as {operation.name}{operation.signature}",
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _from_array(value: Any) -> Any:
    """NumPy's and torch's numbers and arrays, whose libraries are not imported for this."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def request_of(operation: Operation, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Turn checked arguments into a path and httpx's options."""

    def at(place: str) -> Pairs:
        return [
            (p.name, values[p.argument])
            for p in operation.parameters
            if p.place == place and p.argument in values
        ]

    body, media = _body(operation, dict(at("field")), at("body"))
    headers = [(name, _text(each)) for name, value in at("header") for each in _listed(value)]
    if at("cookie"):
        headers.append(("cookie", "; ".join(f"{name}={_text(v)}" for name, v in at("cookie"))))
    if media:
        headers.append(("content-type", media))
    options = {"params": dict(at("query")), "headers": headers, **body}
    return _path(operation.path, at("path")), {k: v for k, v in options.items() if v or k in body}


def _path(template: str, values: Pairs) -> str:
    for name, value in values:
        field = r"\{" + re.escape(name) + r"(:[^}]*)?\}"
        text = quote(_text(value), safe="/")  # a {name:path} may hold slashes
        template = re.sub(field, text, template)  # a quoted text holds no backslash
    return template


def _body(operation: Operation, fields: dict[str, Any], whole: Pairs) -> tuple[dict[str, Any], str]:
    """The options of httpx for the body, and a media type where httpx would not set it."""
    media = operation.media
    given = whole[0][1] if whole else fields
    if media in (FORM, FILES):
        return _form(operation, given), ""
    if not (whole or fields or operation.body_required):
        return {}, ""
    if media == JSON or media.endswith("+json"):
        return {"json": given}, "" if media == JSON else media
    return {"content": given}, media


def _form(operation: Operation, fields: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {p.name: takes_files(p.schema, operation.components) for p in operation.parameters}
    files = [(k, _file(each)) for k, v in fields.items() if kinds.get(k) for each in _listed(v)]
    data = {k: v for k, v in fields.items() if not kinds.get(k) and v is not None}
    return {"data": data, "files": files} if files else {"data": data}


def _file(value: Any) -> Any:
    return (value.name, value.read_bytes()) if isinstance(value, Path) else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
