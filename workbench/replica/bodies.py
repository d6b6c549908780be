"""How large the body of a request may be: what is larger is refused before it is kept."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

LIMIT_BYTES = int(os.environ.get("WORKBENCH_MAX_BODY_BYTES", str(2**30)))  # as read by the notebook
TOO_LARGE = f"the body has more than {LIMIT_BYTES} bytes"
Receive = Callable[[], Awaitable[Any]]


def declared(headers: Any) -> int | None:
    """Bytes that a request says its body has, or None when it comes in chunks or has none."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)  # the server has checked that it is a number
    return None


def counted(receive: Receive) -> Receive:
    """Receive a body of unknown length, but no more than the limit.

    Raises:
        HTTPException: 413, from the call that passes the limit.
    """
    total = 0

    async def received() -> Any:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LIMIT_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return received


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer 413."""
    await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
