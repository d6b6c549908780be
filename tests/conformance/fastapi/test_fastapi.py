"""FastAPI's tests hold for the deployed application, but for those that are listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .runs import compared, files, legitimate

pytestmark = pytest.mark.ray
SHARDS = 24
# Routers, dependencies, forms, files, streams, websockets, background tasks, documents.
SAMPLE = (
    "tests/test_tutorial/test_background_tasks/test_tutorial002.py",
    "tests/test_tutorial/test_bigger_applications/test_main.py",
    "tests/test_tutorial/test_dependencies/test_tutorial008b.py",
    "tests/test_tutorial/test_header_param_models/test_tutorial002.py",
    "tests/test_tutorial/test_openapi_callbacks/test_tutorial001.py",
    "tests/test_tutorial/test_request_files/test_tutorial001.py",
    "tests/test_tutorial/test_request_form_models/test_tutorial001.py",
    "tests/test_tutorial/test_sub_applications/test_tutorial001.py",
    "tests/test_tutorial/test_websockets/test_tutorial002.py",
    "tests/test_tutorial/test_websockets/test_tutorial003.py",
    "tests/test_include_router_defaults_overrides.py",
    "tests/test_router_include_context.py",
    "tests/test_sse.py",
)
Record = Callable[[str, Any], None]


def check(names: list[str], record_property: Record) -> None:
    """Compare some files, and record the row of the table."""
    found = compared(names)

    for name in ("baseline", "equal"):
        record_property(name, getattr(found, name))
    for name in ("legitimate", "wrong", "needless"):
        record_property(name, len(getattr(found, name)))
    assert found.wrong == {}
    assert found.baseline > 0 or not names


def test_a_sample_of_its_tests_holds(record_property: Record) -> None:
    """In the short form: what a router, a form, a stream or a socket answers."""
    check(list(SAMPLE), record_property)


@pytest.mark.conformance
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_all_of_its_tests_hold(shard: int, record_property: Record) -> None:
    """In the long form, in shards: `-k "holds[3]"` runs one of them."""
    check(files()[shard::SHARDS], record_property)


def test_what_is_listed_is_there() -> None:
    """A list of exceptions that nobody reads grows; each names a file of this version."""
    known = set(files())

    assert {test.partition("::")[0] for test in legitimate()} <= known
