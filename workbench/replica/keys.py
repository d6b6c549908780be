"""The key that an ingress asks for, where `deploy(require_key=True)` was said."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse

HEADER, BEARER = b"x-api-key", b"bearer "
MISSING = "this service asks for a key: send it as X-API-Key, or as Authorization: Bearer"


def digest_of(key: str | bytes) -> str:
    """What replicas and the history know of a key: its SHA-256."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def admits(digest: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of a request carry the key with this digest; any do for ""."""
    if not digest:
        return True
    given = b""
    for name, value in headers:
        if name == HEADER:
            given = value
        elif name == b"authorization" and value[: len(BEARER)].lower() == BEARER:
            given = given or value[len(BEARER) :]
    return bool(given) and hmac.compare_digest(digest_of(given), digest)


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer 401, or close a websocket before it is open."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": MISSING})
        return
    answer = JSONResponse({"detail": MISSING}, 401, {"WWW-Authenticate": "Bearer"})
    await answer(scope, receive, send)
