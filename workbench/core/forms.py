"""A form for one operation of an OpenAPI document: fields, types and defaults. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import PlanError

from .openapi import Operation, Parameter, default_of, resolved, takes_files

TEXT, INTEGER, NUMBER, BOOLEAN = "text", "integer", "number", "boolean"
CHOICE, FILE, JSON = "choice", "file", "JSON"
PLAIN = {"string": TEXT, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}
READERS = {INTEGER: int, NUMBER: float}
DEEPEST = 4  # schemas may contain themselves


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        argument: Python name of the argument.
        kind: text, integer, number, boolean, choice, file or JSON.
        required: whether it must be filled in.
        start: what stands in it at first: text; "" where it is left out unless filled in.
        choices: values of a choice.
        description: what it is for, or "".
    """

    argument: str
    kind: str
    required: bool
    start: str = ""
    choices: tuple[Any, ...] = ()
    description: str = ""

    @property
    def label(self) -> str:
        """Name, kind and whether it must be filled in."""
        return f"{self.argument} ({self.kind}{', required' if self.required else ''})"

    def value(self, text: str) -> Any:
        """Read what was filled in.

        Raises:
            PlanError: it cannot be read as this kind.
        """
        if self.kind == TEXT:
            return text
        try:
            if self.kind in READERS:
                return READERS[self.kind](text)
            return json.loads(text)
        except ValueError as error:
            problem = f"{self.argument}: {text!r} is no {self.kind}"
            raise PlanError(problem, str(error) if self.kind == JSON else "") from error

    def left_out(self, text: str) -> bool:
        """Whether the argument is not sent: an optional field that is empty."""
        return not self.required and text == ""


def fields_of(operation: Operation) -> tuple[Field, ...]:
    """The fields for an operation, required ones first."""
    made = [_field(each, operation.components) for each in operation.parameters]
    return tuple(sorted(made, key=lambda field: not field.required))


def _field(parameter: Parameter, components: Mapping[str, Any]) -> Field:
    schema = _only(parameter.schema, components)
    default = default_of(parameter, components)
    kind, choices = _kind(parameter, schema, components)
    start = _start(kind, schema, default, parameter.required, components)
    return Field(
        parameter.argument, kind, parameter.required, start, choices, parameter.description
    )


def _only(schema: Any, components: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema; of `X | None`, that of X."""
    schema = resolved(schema, components)
    choices = [resolved(each, components) for each in schema.get("anyOf", ())]
    proper = [each for each in choices if each.get("type") != "null"]
    return {**schema, **proper[0]} if len(proper) == 1 and len(choices) > 1 else schema


def _kind(
    parameter: Parameter, schema: Mapping[str, Any], components: Mapping[str, Any]
) -> tuple[str, tuple[Any, ...]]:
    if takes_files(parameter.schema, components):
        return FILE, ()
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return CHOICE, tuple(values)
    kind = schema.get("type")
    return (PLAIN.get(kind, JSON) if isinstance(kind, str) else JSON), ()


def _start(
    kind: str,
    schema: Mapping[str, Any],
    default: Any,
    required: bool,
    components: Mapping[str, Any],
) -> str:
    examples = schema.get("examples") or [schema.get("example")]
    first = default if default is not None else examples[0] if required else None
    if first is None and required and kind == JSON:
        first = _sample(schema, components)
    if first is None or kind == FILE:
        return ""
    return first if kind == TEXT and isinstance(first, str) else json.dumps(first)


def _sample(schema: Any, components: Mapping[str, Any], depth: int = 0) -> Any:
    """A value of the right shape, to begin with."""
    schema = _only(schema, components)
    for given in ("default", "const"):
        if given in schema:
            return schema[given]
    listed = schema.get("examples") or schema.get("enum")
    if listed or depth > DEEPEST:
        return listed[0] if listed else None
    if schema.get("type") == "array":
        return [_sample(schema.get("items"), components, depth + 1)]
    if schema.get("type") == "object":
        inside = schema.get("properties", {})
        needed = schema.get("required", ())
        return {n: _sample(inside.get(n), components, depth + 1) for n in needed}
    return {"string": "", "integer": 0, "number": 0.0, "boolean": False}.get(schema.get("type", ""))
