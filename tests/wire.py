"""Counts what widgets send to JupyterLab, frame by frame, as a kernel would send it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comm
from comm.base_comm import BaseComm
from jupyter_client.session import Session

DELIMITER = b"<IDS|MSG>"


class Wire:
    """What went over the wire.

    Attributes:
        messages: how many.
        bytes: of all their frames.
        values: kind and content of each, while `keeps`.
    """

    def __init__(self) -> None:
        self.keeps = True
        self.session = Session(key=b"a key, since messages are signed")
        cell = self.session.msg("execute_request", {"code": ""})["header"]
        self.parent = {"header": {**cell, "subshell_id": None}}  # of what a thread sends
        self.messages = 0
        self.bytes = 0
        self.values: list[tuple[str, Any]] = []

    def count(self, kind: str, content: dict[str, Any], topic: bytes, buffers: Any) -> None:
        """Count one message with its buffers."""
        message = self.session.msg(kind, content, parent=self.parent["header"])
        frames = [*self.session.serialize(message, ident=topic), *(buffers or ())]
        self.messages += 1
        self.bytes += sum(memoryview(each).nbytes for each in frames)
        if self.keeps:
            self.values.append((kind, content))


@contextmanager
def recorded() -> Iterator[Wire]:
    """Give every widget that is made inside a wire instead of a kernel."""
    wire, real = Wire(), comm.create_comm

    class Recorded(BaseComm):
        def publish_msg(
            self,
            msg_type: str,
            data: Any = None,
            metadata: Any = None,
            buffers: Any = None,
            **keys: Any,
        ) -> None:
            content = {"data": data or {}, "comm_id": self.comm_id, **keys}
            wire.count(msg_type, content, self.topic, buffers)

    comm.create_comm = Recorded
    try:
        yield wire
    finally:
        comm.create_comm = real
