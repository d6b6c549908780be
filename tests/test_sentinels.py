"""Objects that are compared by `is` stay what they are on their way to a replica."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from types import ModuleType
from typing import Annotated, Any

import fastapi.datastructures
import httpx
import pytest
from fastapi import Body, Cookie, FastAPI, File, Form, Header, Path, Query
from pydantic import BaseModel, Field
from ray import serve
from ray.serve._private.utils import ensure_serialization_context

from workbench.adapters.ray_serve import ingress_parts
from workbench.replica import apps
from workbench.replica import package as packages


class Item(BaseModel):
    """A body."""

    name: str = Field(examples=["a"])
    size: int | None = None


def there(thing: Any, app: Any = None) -> Any:
    """An object after its way to a replica."""
    ensure_serialization_context()  # as every cluster does: Starlette's state needs it
    code = packages.dump((thing, app, (), {}), None)
    target, app, _, _ = packages.load(code, (), {})
    return target if app is None else app


def of_everything() -> FastAPI:
    """An application that declares parameters in every way."""
    api = FastAPI()

    @api.post("/items/{key}")
    def create(
        key: Annotated[int, Path(gt=0)],
        item: Annotated[Item, Body(embed=True)],
        q: Annotated[str | None, Query(max_length=5)] = None,
        x_token: Annotated[str | None, Header()] = None,
        session: Annotated[str | None, Cookie()] = None,
    ) -> Item:
        return item

    @api.post("/forms")
    def form(name: Annotated[str, Form()], upload: Annotated[bytes, File()]) -> str:
        return name

    return api


@pytest.mark.parametrize(
    "sentinel",
    [
        fastapi.datastructures._Unset,
        dataclasses.MISSING,
        inspect._sentinel,  # type: ignore[attr-defined]  # a bare object()
        httpx.USE_CLIENT_DEFAULT,
    ],
    ids=["fastapi", "dataclasses", "object", "httpx"],
)
def test_a_sentinel_is_found_by_its_name(sentinel: Any) -> None:
    """What a library compares by `is` is the library's own object in the replica too."""
    assert there([sentinel])[0] is sentinel


def test_what_a_module_may_change_goes_as_it_is() -> None:
    """A setting that the notebook changed must not be the module's default again."""
    module = ModuleType("settings_of_a_package")
    exec(
        "class Settings:\n    debug = False\n\nsettings = Settings()\nLIMITS = Settings()",
        vars(module),
    )
    sys.modules[module.__name__] = module
    try:
        module.settings.debug, module.LIMITS.sizes = True, [1]

        assert there(module.settings) is not module.settings
        assert there(module.settings).debug
        assert there(module.LIMITS) is not module.LIMITS
    finally:
        del sys.modules[module.__name__]


def test_the_description_is_the_one_of_the_notebook() -> None:
    """OpenAPI is the same in the replica, to the last key."""
    api = of_everything()

    assert apps.standalone(there(api)).openapi() == of_everything().openapi()


def test_the_description_of_a_class_is_the_one_of_its_application() -> None:
    """Serve's decorator copies the application, what is compared by `is` too."""
    api = of_everything()
    wrapped = serve.ingress(api)(type("Mounted", (), {}))
    own, app = ingress_parts(wrapped)

    assert there(own, app).openapi() == of_everything().openapi()
