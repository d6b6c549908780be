"""Operations of an OpenAPI document, with Python signatures."""

from __future__ import annotations

import inspect
import keyword
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
TYPES = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": None,
}
JSON, FORM, FILES = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


@dataclass(frozen=True)
class Parameter:
    """One argument of an operation.

    Attributes:
        argument: Python name.
        name: name in the request.
        place: path, query, header, cookie, body (the whole of it) or field (of the body).
        required: whether it must be given.
        schema: its JSON Schema.
    """

    argument: str
    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One operation of an OpenAPI document.

    Attributes:
        name: Python name.
        method: HTTP verb in upper case.
        path: path template.
        summary: what it does.
        parameters: its arguments.
        media: media type of the body, or "".
        components: schemas that `$ref` points to.
    """

    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    media: str
    components: Mapping[str, Any]

    @property
    def signature(self) -> inspect.Signature:
        """The signature of the Python function for it."""
        ordered = sorted(self.parameters, key=lambda p: not p.required)
        return inspect.Signature([_argument(p, self.components) for p in ordered])

    def __str__(self) -> str:
        return f"{self.name}{self.signature}  {self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Read the operations of an OpenAPI 3.1 document.

    FastAPI's ids (`chat_chat_post`) are cut down to the function's name (`chat`); where two
    functions share a name, the verb is kept (`item_get`, `item_put`).
    """
    components = document.get("components", {}).get("schemas", {})
    found = [
        (path, verb, described)
        for path, verbs in document.get("paths", {}).items()
        for verb, described in verbs.items()
        if verb in VERBS
    ]
    shorts = [_short_name(path, verb, described) for path, verb, described in found]
    uses = Counter(shorts)
    return tuple(
        _operation(short if uses[short] == 1 else f"{short}_{verb}", path, verb, told, components)
        for short, (path, verb, told) in zip(shorts, found, strict=True)
    )


def _short_name(path: str, verb: str, described: Mapping[str, Any]) -> str:
    given = described.get("operationId") or f"{verb}{path}"
    suffix = re.sub(r"\W", "_", path) + f"_{verb}"
    return _identifier(given.removesuffix(suffix) or given)


def _operation(
    name: str, path: str, verb: str, described: Mapping[str, Any], components: Mapping[str, Any]
) -> Operation:
    plain = [
        Parameter(_identifier(p["name"]), p["name"], p["in"], p.get("required", False), p["schema"])
        for p in described.get("parameters", ())
    ]
    media, body = _body(described.get("requestBody"), {p.argument for p in plain}, components)
    summary = described.get("description") or described.get("summary") or ""
    return Operation(
        name,
        verb.upper(),
        path,
        summary,
        (*plain, *body),
        media,
        components,
    )


def _body(
    body: Mapping[str, Any] | None, taken: set[str], components: Mapping[str, Any]
) -> tuple[str, list[Parameter]]:
    if not body:
        return "", []
    media = next((m for m in (JSON, FORM, FILES) if m in body["content"]), "")
    if not media:
        media = next(iter(body["content"]))
    schema = body["content"][media].get("schema", {})
    whole = [Parameter("body", "body", "body", body.get("required", False), schema)]
    shape = resolved(schema, components)
    fields = shape.get("properties")
    if shape.get("type") != "object" or not fields or taken & {_identifier(f) for f in fields}:
        return media, whole
    needed = shape.get("required", ()) if body.get("required") else ()
    return media, [
        Parameter(_identifier(name), name, "field", name in needed, field)
        for name, field in fields.items()
    ]


def resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a `$ref` to the components."""
    while "$ref" in schema:
        schema = components.get(schema["$ref"].rpartition("/")[2], {})
    return schema


def _argument(parameter: Parameter, components: Mapping[str, Any]) -> inspect.Parameter:
    default: Any = inspect.Parameter.empty
    if not parameter.required:
        default = resolved(parameter.schema, components).get("default")
    return inspect.Parameter(
        parameter.argument,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=_annotation(parameter.schema, components),
    )


def _annotation(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    schema = resolved(schema, components)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        kinds = [_annotation(choice, components) for choice in choices]
        if any(kind is Any for kind in kinds):
            return Any
        union = kinds[0]
        for kind in kinds[1:]:
            union = union | kind if union is not None else kind | None
        return union
    if isinstance(schema.get("type"), str):
        return TYPES.get(schema["type"], Any)
    return Any


def _identifier(name: str) -> str:
    clean = re.sub(r"\W", "_", name) or "_"
    clean = f"_{clean}" if clean[0].isdigit() else clean
    return f"{clean}_" if keyword.iskeyword(clean) else clean
