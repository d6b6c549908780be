"""Websockets whose client has gone: the handler is told, and ends by itself.

Serve cancels a handler as soon as the client closes, which is mostly before the handler has heard
of it. What tells of the close is therefore hidden from Serve on its way to the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
CLOSED, HIDDEN = "websocket.disconnect", "workbench.websocket.disconnect"


def disguised(receive: Receive) -> Receive:
    """What Serve is to receive from: it hears of no close, and waits until the handler ends."""
    closed = False

    async def received() -> Message:
        nonlocal closed
        if closed:
            await asyncio.get_running_loop().create_future()
        message = await receive()
        closed = message["type"] == CLOSED
        return {**message, "type": HIDDEN} if closed else message

    return received


def revealed(receive: Receive) -> Receive:
    """What an application receives from: a close is a close, however often it asks."""
    last: Message | None = None

    async def received() -> Message:
        nonlocal last
        if last is not None:
            return last
        message = await receive()
        if message["type"] == HIDDEN:
            last = message = {**message, "type": CLOSED}
        return message

    return received
