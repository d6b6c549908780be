"""Forms for the operations of an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI, UploadFile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from workbench.core.forms import Field, fields_of
from workbench.core.openapi import operations
from workbench.errors import PlanError


class Point(BaseModel):
    """Something nested."""

    x: float
    y: float = 1.0


class Ask(BaseModel):
    """A body."""

    query: str
    k: int = 3
    where: Point
    tags: list[str] = []
    note: str | None = None


def fields(function: Any, verb: str = "post") -> dict[str, Field]:
    """The fields for one FastAPI route."""
    app = FastAPI()
    getattr(app, verb)("/route")(function)
    [operation] = operations(app.openapi())
    return {each.argument: each for each in fields_of(operation)}


def test_a_body_becomes_a_field_for_each_of_its_own() -> None:
    """Types and defaults come from the model; what is nested begins with its shape."""

    def ask(body: Ask) -> None: ...

    found = fields(ask)

    assert {name: (f.kind, f.required, f.start) for name, f in found.items()} == {
        "query": ("text", True, ""),
        "where": ("JSON", True, '{"x": 0.0}'),
        "k": ("integer", False, "3"),
        "tags": ("JSON", False, "[]"),
        "note": ("text", False, ""),
    }


def test_parameters_become_fields_of_their_kind() -> None:
    """Choices are listed, truth values are a choice, files are files."""

    def look(
        k: int, loud: bool = False, size: float | None = None, style: str = "plain"
    ) -> None: ...

    found = fields(look, "get")

    assert {name: f.kind for name, f in found.items()} == {
        "k": "integer",
        "loud": "boolean",
        "size": "number",
        "style": "text",
    }
    assert found["k"].label == "k (integer, required)"
    assert found["loud"].start == "false"
    assert found["size"].left_out("") and not found["k"].left_out("")


def test_files_are_files() -> None:
    """An upload needs a field of its own kind."""

    def send(photo: UploadFile) -> None: ...

    assert fields(send)["photo"].kind == "file"


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    """Trees are described by schemas that refer to themselves."""
    tree = {
        "type": "object",
        "required": ["left"],
        "properties": {"left": {"$ref": "#/components/schemas/T"}},
    }
    body = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/T"}}
            }
        },
    }
    document = {
        "paths": {"/t": {"post": {"requestBody": body}}},
        "components": {"schemas": {"T": tree}},
    }
    [operation] = operations(document)
    [field] = fields_of(operation)

    assert field.kind == "JSON"
    assert json.loads(field.start)[0]["left"]["left"]


@given(st.integers())
def test_numbers_are_read_as_they_were_written(value: int) -> None:
    """What is typed is what is sent."""
    assert Field("k", "integer", True).value(str(value)) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_is_read_as_it_was_written(value: Any) -> None:
    """Whatever JSON carries can be sent."""
    assert Field("body", "JSON", True).value(json.dumps(value)) == value


@pytest.mark.parametrize(("kind", "text"), [("integer", "1.5"), ("number", "x"), ("JSON", "{")])
def test_what_cannot_be_read_is_refused_with_its_name(kind: str, text: str) -> None:
    """Nothing is sent that was not understood."""
    with pytest.raises(PlanError, match=f"k: '{text}' is no {kind}"):
        Field("k", kind, True).value(text)
