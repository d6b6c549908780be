"""Records of requests are made where a log takes them, and other records always."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi import FastAPI
from ray import serve
from ray.serve._private.logging_utils import log_access_log_filter
from ray.serve.schema import LoggingConfig

import workbench
from workbench.replica.access import MARK, Wanted

from .waiting import until


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self, *filters: Any) -> None:
        super().__init__()
        self.filters, self.records = list(filters), []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ([[log_access_log_filter]], [["usual"]]),
        ([[]], [["request", "usual"]]),
        ([[log_access_log_filter], []], [["usual"], ["request", "usual"]]),
    ],
)
def test_a_record_that_every_handler_filters_is_not_made(
    filters: list[list[Any]], kept: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handlers get what they would get without; each record names the line that logged it."""
    logger, handlers = logging.Logger("serve"), [Kept(*each) for each in filters]
    for each in handlers:
        logger.addHandler(each)
    made: list[str] = []
    usual = logger.makeRecord
    monkeypatch.setattr(
        logger, "makeRecord", lambda *args, **more: (made.append(args[4]), usual(*args, **more))[1]
    )
    wanted = Wanted(logger)

    wanted.info("request", extra={MARK: True})
    wanted.info("usual", extra={MARK: None})

    assert [[each.msg for each in handler.records] for handler in handlers] == kept
    assert made == max(kept, key=len)
    assert {each.filename for handler in handlers for each in handler.records} == {"test_access.py"}


@pytest.mark.ray
@pytest.mark.parametrize("asked", [True, False])
def test_a_deployment_that_asks_for_an_access_log_has_one(asked: bool, name: str) -> None:
    """In Serve's own log, as without workbench."""
    api = FastAPI()

    @serve.deployment(
        ray_actor_options={"num_cpus": 0.1},
        **({"logging_config": LoggingConfig(enable_access_log=True)} if asked else {}),
    )
    @serve.ingress(api)
    class Logged:
        @api.get("/logged")
        async def logged(self) -> str:
            logging.getLogger("ray.serve").info("the user's own line")
            return "x"

    app = workbench.deploy(Logged.bind(), name=name)
    app.get("/logged")

    until(lambda: any("the user's own line" in line for line in app.logs()))
    assert not any("GET" in line for line in app.logs())  # Serve's line, not the user's

    def answered() -> bool:
        return any("GET" in line and "/logged" in line for line in app.logs(system=True))

    until(lambda: not asked or answered())
    assert asked or not answered()
