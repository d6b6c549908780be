"""Reading operations out of an OpenAPI document."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.openapi import Operation, hint, operations


def described(**routes: dict[str, Any]) -> dict[str, Any]:
    """A document with one GET per path `/<key>`."""
    return {"paths": {f"/{path}": {"get": told} for path, told in routes.items()}}


def query(name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An optional query parameter, as FastAPI describes it."""
    return {"name": name, "in": "query", "schema": schema, **more}


def only(document: dict[str, Any]) -> Operation:
    """The one operation of a document."""
    [operation] = operations(document)
    return operation


def test_fastapis_ids_are_cut_down_to_the_functions_name() -> None:
    """The id that FastAPI makes is the name, the path and the verb."""
    told = {"operationId": "read_item_items__item_id__get"}

    assert only({"paths": {"/items/{item_id}": {"get": told}}}).name == "read_item"


def test_an_id_of_the_users_own_is_kept() -> None:
    """Whoever chose `operation_id=` looks for it."""
    assert only(described(x={"operationId": "search-passages"})).name == "search_passages"


def test_functions_that_share_a_name_keep_their_verb() -> None:
    """One path is often written as one function name with several verbs."""
    verbs = {verb: {"operationId": f"item_items_{verb}"} for verb in ("get", "put")}

    assert [o.name for o in operations({"paths": {"/items": verbs}})] == ["item_get", "item_put"]


def test_functions_that_share_name_and_verb_keep_their_id() -> None:
    """Two routers may each have a `read`; neither may hide the other."""
    found = operations(described(a={"operationId": "read_a_get"}, b={"operationId": "read_b_get"}))

    assert [o.name for o in found] == ["read_a_get", "read_b_get"]


@pytest.mark.parametrize(
    ("given_id", "name"),
    [
        ("_hidden", "hidden"),
        ("import", "import_"),
        ("2nd", "op_2nd"),
        ("\ufb01nd", "find"),
        ("invalidate", "invalidate_"),
    ],
)
def test_every_operation_can_be_written_after_a_dot(given_id: str, name: str) -> None:
    """Names of Python, of IPython's probes and of our own are stepped aside for."""
    assert only(described(x={"operationId": given_id})).name == name


@given(st.lists(st.text(min_size=1), max_size=8))
def test_operations_have_distinct_names(ids: list[str]) -> None:
    """Whatever the ids are, no operation is out of reach."""
    document = described(**{str(n): {"operationId": given_id} for n, given_id in enumerate(ids)})

    names = [o.name for o in operations(document)]

    assert len(set(names)) == len(ids)
    assert all(name.isidentifier() and not name.startswith("_") for name in names)


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["query", "header", "cookie"]))))
def test_every_set_of_parameters_has_a_signature(names: list[tuple[str, str]]) -> None:
    """`x-token` and `x_token` are one Python name, and both must be given values."""
    told = [{"name": name, "in": place, "schema": {}} for name, place in names]

    operation = only(described(x={"parameters": told}))

    assert len(operation.signature.parameters) == len(names)
    assert [(p.name, p.place) for p in operation.parameters] == names


def test_required_arguments_come_first_and_have_no_default() -> None:
    """The signature reads as one that was written by hand."""
    told = [query("k", {"type": "integer", "default": 5}), query("q", {"type": "string"})]
    told[1]["required"] = True

    assert str(only(described(x={"parameters": told})).signature) == "(*, q: str, k: int = 5)"


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"anyOf": [{"type": "null"}, {"type": "null"}]}, "None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"enum": ["a", "b"]}, "Literal['a', 'b']"),
        ({"const": 3}, "Literal[3]"),
        ({"type": "string", "format": "binary"}, "bytes"),
        ({"$ref": "#/components/schemas/Mood"}, "Literal['calm']"),
        ({"$ref": "#/components/schemas/Loop"}, "Any"),
        ({"$ref": "#/components/schemas/Missing"}, "Any"),
        ({"allOf": [{"type": "object"}]}, "dict"),
    ],
)
def test_schemas_become_annotations(schema: dict[str, Any], annotation: str) -> None:
    """What help shows is Python, not JSON Schema."""
    loop = {"$ref": "#/components/schemas/Loop"}
    document = described(x={"parameters": [query("p", schema)]})
    document["components"] = {"schemas": {"Mood": {"enum": ["calm"]}, "Loop": loop}}

    shown = inspect.formatannotation(only(document).signature.parameters["p"].annotation)

    assert shown.removeprefix("typing.") == annotation


def test_a_default_beside_a_reference_is_seen() -> None:
    """FastAPI writes an enumeration's default next to its `$ref`."""
    schema = {"$ref": "#/components/schemas/Mood", "default": "calm"}
    document = described(x={"parameters": [query("mood", schema)]})
    document["components"] = {"schemas": {"Mood": {"enum": ["calm", "wild"]}}}

    assert only(document).signature.parameters["mood"].default == "calm"


def test_parameters_of_the_path_and_by_reference_are_read() -> None:
    """Both are allowed by OpenAPI, and written by hand-made documents."""
    shared = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    document = {
        "paths": {"/x/{id}": {"parameters": [{"$ref": "#/components/parameters/Id"}], "get": {}}},
        "components": {"parameters": {"Id": shared}},
    }

    assert str(only(document).signature) == "(*, id: int)"


def test_descriptions_are_in_the_docstring() -> None:
    """What the service says about an argument is there to be read in the notebook."""
    told = [query("k", {"type": "integer"}, description="how many passages")]

    operation = only(described(search={"summary": "Search", "parameters": told}))

    assert operation.documentation == "Search\n\nGET /search\n\nArgs:\n    k: how many passages"


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/items/4", ""),
        ("POST", "/items/4", "/items/4 takes GET, not POST"),
        ("GET", "/itmes", "did you mean '/items'? there are: /items/{id}, /items"),
    ],
)
def test_the_nearest_operation_is_named(method: str, path: str, said: str) -> None:
    """An operation that exists and answered 404 by itself needs no hint."""
    document = {"paths": {"/items/{id}": {"get": {}}, "/items": {"get": {}}}}

    assert hint(method, path, operations(document)) == said
