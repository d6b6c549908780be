"""Operations of an OpenAPI document, with Python signatures."""

from __future__ import annotations

import inspect
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Literal

from .nearest import suggestion

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
RESERVED = ("invalidate",)  # a name of the object that holds the functions
DEEPEST = 4  # schemas may contain themselves


@dataclass(frozen=True)
class Parameter:
    """One argument of an operation.

    Attributes:
        argument: Python name.
        name: name in the request.
        place: path, query, header, cookie, body (the whole of it) or field (of the body).
        required: whether it must be given.
        schema: its JSON Schema.
        description: what it is for, or "".
    """

    argument: str
    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]
    description: str = ""


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
        body_required: whether a body must be sent.
        components: the document's components, which `$ref` points into.
    """

    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    media: str
    body_required: bool
    components: Mapping[str, Any]

    @property
    def signature(self) -> inspect.Signature:
        """The signature of the Python function for it: keywords only, required ones first."""
        ordered = sorted(self.parameters, key=lambda p: not p.required)
        return inspect.Signature([_argument(p, self.components) for p in ordered])

    @property
    def documentation(self) -> str:
        """The docstring of the Python function for it."""
        told = [f"    {p.argument}: {p.description}" for p in self.parameters if p.description]
        arguments = "\n".join(["Args:", *told]) if told else ""
        parts = (self.summary, f"{self.method} {self.path}", arguments)
        return "\n\n".join(part for part in parts if part)

    def __str__(self) -> str:
        return f"{self.name}{self.signature}  {self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Read the operations of an OpenAPI 3.1 document.

    FastAPI's ids (`chat_chat_post`) are cut down to the function's name (`chat`); where two
    functions share a name, the verb is kept (`item_get`, `item_put`), and where they share that
    too, the whole id. Names are distinct, and each can be written after a dot.
    """
    components = document.get("components", {})
    found = [
        (path, verb, item, described)
        for path, item in document.get("paths", {}).items()
        for verb, described in item.items()
        if verb in VERBS
    ]
    names = _names([_name_choices(path, verb, told) for path, verb, _, told in found])
    return tuple(
        _operation(name, path, verb, {"parameters": item.get("parameters", ()), **told}, components)
        for name, (path, verb, item, told) in zip(names, found, strict=True)
    )


def hint(method: str, path: str, known: Sequence[Operation]) -> str:
    """Say what may have been meant by a request that the service has no operation for.

    Args:
        method: HTTP verb in upper case.
        path: what was asked for, below the route prefix.
        known: operations of the service.

    Returns:
        Its verbs, or the nearest paths; "" when the operation exists or nothing is known.
    """
    verbs = [o.method for o in known if re.fullmatch(_pattern(o.path), path)]
    if method in verbs or not known:
        return ""
    if verbs:
        return f"{path} takes {' or '.join(verbs)}, not {method}"
    return suggestion(path, dict.fromkeys(o.path for o in known))


def _pattern(template: str) -> str:
    return re.sub(r"\\\{.*?\\\}", ".+", re.escape(template))


def _name_choices(path: str, verb: str, described: Mapping[str, Any]) -> tuple[str, str, str]:
    given = described.get("operationId") or f"{verb}{path}"
    suffix = re.sub(r"\W", "_", path) + f"_{verb}"
    short = given.removesuffix(suffix) or given
    return _operation_name(short), _operation_name(f"{short}_{verb}"), _operation_name(given)


def _names(choices: Sequence[Sequence[str]]) -> list[str]:
    """For each the first of its choices that is its own, with a number if none is."""
    names = [each[0] for each in choices]
    for level in range(1, len(choices[0]) if choices else 0):
        uses = Counter(names)
        names = [
            each[level] if uses[name] > 1 else name
            for each, name in zip(choices, names, strict=True)
        ]
    return _numbered(names)


def _numbered(names: Iterable[str]) -> list[str]:
    taken: dict[str, None] = {}
    for name in names:
        chosen, number = name, 1
        while chosen in taken:
            number += 1
            chosen = f"{name}_{number}"
        taken[chosen] = None
    return list(taken)


def _operation(
    name: str, path: str, verb: str, described: Mapping[str, Any], components: Mapping[str, Any]
) -> Operation:
    body = resolved(described.get("requestBody") or {}, components)
    plain = [_parameter(resolved(p, components)) for p in described["parameters"]]
    media, inside = _body(body, {p.argument for p in plain}, components)
    return Operation(
        name,
        verb.upper(),
        path,
        described.get("description") or described.get("summary") or "",
        _named_apart([*plain, *inside]),
        media,
        bool(body.get("required", False)),
        components,
    )


def _parameter(told: Mapping[str, Any]) -> Parameter:
    schema = told.get("schema", {})
    needed = bool(told.get("required", False))
    return Parameter(
        _identifier(told["name"]), told["name"], told["in"], needed, schema, _description(told)
    )


def _named_apart(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    names = _names([(p.argument, f"{p.argument}_{p.place}") for p in parameters])
    return tuple(
        Parameter(name, p.name, p.place, p.required, p.schema, p.description)
        for name, p in zip(names, parameters, strict=True)
    )


def _body(
    body: Mapping[str, Any], taken: set[str], components: Mapping[str, Any]
) -> tuple[str, list[Parameter]]:
    content = body.get("content")
    if not content:
        return "", []
    media = next((m for m in (JSON, FORM, FILES) if m in content), next(iter(content)))
    schema = content[media].get("schema", {})
    needed = bool(body.get("required", False))
    shape = resolved(schema, components)
    fields = shape.get("properties")
    if shape.get("type") != "object" or not fields or taken & {_identifier(f) for f in fields}:
        return media, [Parameter("body", "body", "body", needed, schema, _description(body))]
    required = shape.get("required", ()) if needed else ()
    return media, [
        Parameter(_identifier(name), name, "field", name in required, field, _description(field))
        for name, field in fields.items()
    ]


def _description(told: Any) -> str:
    return str(told.get("description", "")) if isinstance(told, Mapping) else ""


def resolved(schema: Any, components: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a `$ref` into the components; {} where it leads nowhere, which allows anything."""
    seen: set[str] = set()
    while isinstance(schema, Mapping) and "$ref" in schema:
        if schema["$ref"] in seen:
            return {}
        seen.add(schema["$ref"])
        section, _, name = schema["$ref"].removeprefix("#/components/").partition("/")
        schema = components.get(section, {}).get(name, {})
    return schema if isinstance(schema, Mapping) else {}


def takes_files(schema: Any, components: Mapping[str, Any]) -> bool:
    """Whether a form field is a file or a list of files."""
    schema = resolved(schema, components)
    inner = [*schema.get("anyOf", ()), schema.get("items", {})]
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return True
    return any(takes_files(each, components) for each in inner if each)


def _argument(parameter: Parameter, components: Mapping[str, Any]) -> inspect.Parameter:
    default: Any = inspect.Parameter.empty
    if not parameter.required:
        default = default_of(parameter, components)
    return inspect.Parameter(
        parameter.argument,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=_annotation(parameter.schema, components),
    )


def default_of(parameter: Parameter, components: Mapping[str, Any]) -> Any:
    """What the service takes when the argument is left out; None where it does not say."""
    schema = parameter.schema if isinstance(parameter.schema, Mapping) else {}
    return schema.get("default", resolved(schema, components).get("default"))


def _annotation(schema: Any, components: Mapping[str, Any], depth: int = 0) -> Any:
    schema = resolved(schema, components)
    if depth > DEEPEST:
        return Any
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices and (len(choices) == 1 or "allOf" not in schema):
        return _union([_annotation(choice, components, depth + 1) for choice in choices])
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return _literal(values)
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _union([_annotation({**schema, "type": k}, components, depth + 1) for k in kinds])
    if kinds == "string" and takes_files(schema, components):
        return bytes
    if kinds == "array" and "items" in schema:
        return _list_of(_annotation(schema["items"], components, depth + 1))
    return TYPES.get(kinds, Any) if isinstance(kinds, str) else Any


def _literal(values: Sequence[Any]) -> Any:
    plain = all(isinstance(v, str | int | bool | None) for v in values)
    return Literal[tuple(values)] if plain else Any


def _list_of(kind: Any) -> Any:
    return list if kind is Any else list[kind]


def _union(kinds: Sequence[Any]) -> Any:
    if Any in kinds:
        return Any
    proper = [kind for kind in dict.fromkeys(kinds) if kind is not None]
    if not proper:
        return None
    return reduce(or_, [*proper, None] if None in kinds else proper)


def _operation_name(text: str) -> str:
    """An identifier without leading underscores: those names are Python's and IPython's own."""
    clean = _identifier(text.lstrip("_")).lstrip("_")
    clean = clean if clean.isidentifier() else f"op_{clean}"
    return f"{clean}_" if keyword.iskeyword(clean) or clean in RESERVED else clean


def _identifier(name: str) -> str:
    # Python reads identifiers in this normal form, so a name in another could not be written.
    normal = unicodedata.normalize("NFKC", name)
    clean = "".join(c if f"a{c}".isidentifier() else "_" for c in normal) or "_"
    clean = clean if clean.isidentifier() else f"_{clean}"
    return f"{clean}_" if keyword.iskeyword(clean) else clean
